"""Cookies of pages: names that no other site can set, and attributes that keep scripts and other sites away."""

from __future__ import annotations

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
        return f"quartal-{purpose}-{self.port}" if self.plain_http else f"__Host-quartal-{purpose}"

    def set(self, response: Response, purpose: str, value: str, seconds: int) -> None:
        """Sets a cookie that is sent with links from anywhere (`Lax`), and with nothing else that another site does."""
        secure = not self.plain_http
        response.set_cookie(self.name(purpose), value, seconds, path="/", secure=secure, httponly=True, samesite="lax")

    def delete(self, response: Response, purpose: str) -> None:
        secure = not self.plain_http
        response.delete_cookie(self.name(purpose), path="/", secure=secure, httponly=True, samesite="lax")
