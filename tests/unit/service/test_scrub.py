"""What nobody else may read is removed from texts that leave the printer."""

from __future__ import annotations

import pytest

from agent.service.scrub import scrub

TOKEN = "kZ3" + "x7_-" * 10
KNOWN = ("A1B2C3", "t0ken-of-mine", "abc")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("nothing of it is secret", "nothing of it is secret"),
        ("code A1B2C3 at the portal", "code [removed] at the portal"),
        ("a token t0ken-of-mine, twice: t0ken-of-mine", "a token [removed], twice: [removed]"),
        ("too short to be known: abc", "too short to be known: abc"),
        (f"X-Printer-Auth-Token: {TOKEN}", "X-Printer-Auth-Token: [removed]"),
        (f"half a line with {TOKEN}", "half a line with [token]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [token]"),
        ("https://me:pa55@host/f.gcode?sig=1&b=2#x", "https://host/f.gcode?[removed]"),
        ("https://a@b@host/f", "https://host/f"),
        ("url: /files/f.gcode?X-Amz-Signature=abc (Caused by …)", "url: /files/f.gcode?[removed] (Caused by …)"),
        ("http://[fd00::1]:8080/f#part", "http://[fd00::1]:8080/f?[removed]"),
        ("what is it? nothing", "what is it? nothing"),
        ('calibrate = ["G28", "?G29"]', 'calibrate = ["G28", "?G29"]'),
        ('{"password": "pa 55", "user": "me"}', '{"password": "[removed]", "user": "me"}'),
        ("password=pa55, next", "password=[removed], next"),
        ("wifi_passphrase: 'open sesame' end", "wifi_passphrase: '[removed]' end"),
        ('api_key = "1"', 'api_key = "[removed]"'),
        ('{"token_file": "/etc/token"}', '{"token_file": "/etc/token"}'),
        ('M587 S"net" P"pa55"\nok', "M587 [removed]\nok"),
        ("> M551 P1234\\n", "> M551 [removed]"),
        ("M117 M5870", "M117 M5870"),
        (
            '{"event":"registration code issued","code":"ZZ9","url":"https://h/x"}',
            '{"event":"registration code issued","code":"[removed]","url":"[removed]"}',
        ),
        ('{"event":"script command not known","code":"G29"}', '{"event":"script command not known","code":"G29"}'),
    ],
)
def test_what_is_secret_is_removed_and_the_rest_stays(text: str, left: str) -> None:
    assert scrub(text, KNOWN) == left


@pytest.mark.parametrize("secret", ["pa55", TOKEN, "A1B2C3"])
@pytest.mark.parametrize(
    "form", ["https://u:{}@h/", "/x?{}", "token={}", '"secret":"{}"', "password = '{}'", "M587 P{}", "Bearer {}"]
)
def test_no_form_of_a_secret_stays(form: str, secret: str) -> None:
    assert secret not in scrub(f"before {form.format(secret)} after", [])
