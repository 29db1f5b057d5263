"""Ranks on this machine are reached by nobody else, and their command lines tell nobody anything."""

import json
import os
import stat

import pytest
from horovod.runner.http.http_server import KVStoreServer, RendezvousServer

from intentrec.model.distributed.loopback import few_variables, on_loopback, take_environment


def test_horovods_servers_listen_on_loopback_and_elsewhere_as_before():
    with on_loopback():
        store, meeting = KVStoreServer(verbose=0), RendezvousServer()
        ports = store.start_server(), meeting.start()
    try:
        assert [store.httpd.server_address, meeting._httpd.server_address] == [("127.0.0.1", port) for port in ports]
    finally:
        store.shutdown_server()
        meeting.stop()
        meeting._httpd.server_close()
    outside = KVStoreServer(verbose=0)
    outside.start_server()
    assert outside.httpd.server_address[0] == "0.0.0.0"
    outside.shutdown_server()


def test_secrets_go_by_a_file_of_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/cuda")
    before = dict(os.environ)
    with few_variables(tmp_path, {"HOROVOD_LOG_LEVEL": "error"}):
        assert "SHOP_KEY" not in os.environ
        assert (os.environ["LD_LIBRARY_PATH"], os.environ["HOROVOD_LOG_LEVEL"]) == ("/cuda", "error")
        (file,) = tmp_path.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/rank")
        take_environment(tmp_path)
        assert (os.environ["SHOP_KEY"], os.environ["LD_LIBRARY_PATH"]) == ("secret", "/of/the/rank")
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []


def test_a_rank_without_such_a_file_keeps_what_it_has(tmp_path):
    before = json.dumps(dict(os.environ))
    take_environment(tmp_path)
    assert json.dumps(dict(os.environ)) == before


def test_the_environment_comes_back_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "secret")
    with pytest.raises(RuntimeError, match="no rank"), few_variables(tmp_path, {}):
        raise RuntimeError("no rank started")
    assert os.environ["SHOP_KEY"] == "secret"
