"""Run on the host: logs in to the status page as a person at a browser on it does, and pauses a destination.

    python at_page.py NAME PASSWORD DESTINATION

Prints what the page says came of it.
"""

import re
import sys
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

PAGE = "http://127.0.0.1:9112"


def main(name: str, password: str, destination: str) -> None:
    """Log in, press the button, and confirm."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))

    def post(path: str, **form: str) -> str:
        with browser.open(PAGE + path, urlencode(form).encode()) as answer:
            return answer.read().decode()

    page = post("/login", name=name, password=password)
    (token,) = set(re.findall(r'name="token" value="(\w+)"', page))
    page = post("/do", token=token, verb="pause", destination=destination)
    sys.stdout.write(re.search(r'class="told" role="status">([^<]*)<', page)[1] + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
