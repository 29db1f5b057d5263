from intentrec.doctor.findings import exit_code_of, failed, misconfigured, passed, warned


def test_the_exit_code_is_7_for_the_environment_2_for_the_config_0_without_a_fault():
    assert exit_code_of([passed("a", "b"), warned("a", "b", "c")]) == 0
    assert exit_code_of([misconfigured("a", "b", "c"), passed("a", "b")]) == 2
    assert exit_code_of([misconfigured("a", "b", "c"), failed("a", "b", "c")]) == 7
