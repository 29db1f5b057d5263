"""What all sections of the config share."""

from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, StrictInt

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[StrictInt, Field(gt=0)]


class Section(BaseModel):
    """A part of the file: an unknown key is an error, a loaded value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known_timezone(name: str) -> str:
    """Return the name of an IANA time zone.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no IANA time zone, wanted a name such as Europe/Berlin")
    return ZoneInfo(name).key
