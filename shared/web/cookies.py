"""Cookies of pages: names that no other site can set, and attributes that keep scripts and other sites away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi.responses import Response


@dataclass(frozen=True, slots=True)
class Cookies:
    """The names and attributes of an installation's cookies.

    Over TLS a name begins with `__Host-`: a browser accepts such a cookie only from this very host, and sends it only
    by TLS. Over plain HTTP, on one's own machine, cookies are shared by all ports, so the name ends with the port.
    """

    plain_http: bool = False
    port: int = 8000

    def name(self, purpose: str) -> str:
        before, after = self._affixes
        return f"{before}{purpose}{after}"

    def purposes(self, names: Iterable[str]) -> list[str]:
        """Returns the purposes of those of the names that are names of this installation."""
        before, after = self._affixes
        own = [name for name in names if name.startswith(before) and name.endswith(after)]
        return [name.removeprefix(before).removesuffix(after) for name in own]

    @property
    def _affixes(self) -> tuple[str, str]:
        return ("quartal-", f"-{self.port}") if self.plain_http else ("__Host-quartal-", "")

    def set(self, response: Response, purpose: str, value: str, seconds: int) -> None:
        """Sets a cookie that is sent with links from anywhere (`Lax`), and with nothing else that another site does."""
        secure = not self.plain_http
        response.set_cookie(self.name(purpose), value, seconds, path="/", secure=secure, httponly=True, samesite="lax")

    def delete(self, response: Response, purpose: str) -> None:
        secure = not self.plain_http
        response.delete_cookie(self.name(purpose), path="/", secure=secure, httponly=True, samesite="lax")
