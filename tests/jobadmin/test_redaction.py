"""Secrets stay out of sight, however deep and in whatever spelling; everything else stays as it is."""

import time
from itertools import product

import pytest

from jobadmin import redaction
from jobadmin.redaction import MASK, Redactor
from jobadmin.resolver import resolver

SECRET = "hunter2hunter2"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.mark.parametrize(
    "key",
    [
        "password", "db_password", "userPassword", "PASSWD", "pwd", "passphrase", "secret", "client_secret", "SECRET_KEY",
        "token", "access_token", "tokens", "X-Auth-Token", "csrftoken", "key", "api_key", "apiKey", "X-Api-Key", "APIKey",
        "private_key", "aws_secret_access_key", "authorization", "Proxy-Authorization", "auth", "cookie", "Set-Cookie",
        "credential", "credentials", "session_id_cookie", "otp", "jwt",
    ],
)  # fmt: skip
def test_a_key_that_sounds_like_a_secret_hides_its_value(redactor: Redactor, key: str) -> None:
    assert redactor.value({key: SECRET}) == {key: MASK}


@pytest.mark.parametrize(
    "key", ["primary_key", "sortKey", "cache_key", "keyboard", "monkey", "author", "compass", "tokenizer", "keys", "name", "path"]
)
def test_a_harmless_key_keeps_its_value(redactor: Redactor, key: str) -> None:
    assert redactor.value({key: "visible"}) == {key: "visible"}


def test_secrets_are_found_in_lists_and_below_other_keys(redactor: Redactor) -> None:
    given = {"users": [{"name": "a", "login": {"password": SECRET}}, ["x", {"token": [SECRET, SECRET]}]]}

    shown = redactor.value(given)

    assert shown == {"users": [{"name": "a", "login": {"password": MASK}}, ["x", {"token": MASK}]]}
    assert given["users"][0]["login"]["password"] == SECRET


def test_a_secret_mapping_is_hidden_whole(redactor: Redactor) -> None:
    assert redactor.value({"credentials": {"user": "a", "pass": SECRET}}) == {"credentials": MASK}


def test_nothing_empty_is_called_a_secret(redactor: Redactor) -> None:
    given = {"password": None, "token": "", "secret": False, "cookie": {}, "max_tokens": 4096}

    assert redactor.value(given) == given


def test_numbers_under_a_secret_key_are_hidden(redactor: Redactor) -> None:
    assert redactor.value({"pin": 1234, "password": 12}) == {"pin": MASK, "password": MASK}


@pytest.mark.parametrize("word", ["passwd", "passphrase", "passcode", "pwd", "credential", "sessionid", "authorization"])
def test_each_word_tells_of_a_secret_alone(redactor: Redactor, word: str) -> None:
    for text in (f"{word}={SECRET}", f"a {word.upper()} = {SECRET} b"):
        assert SECRET not in redactor.text(text) and MASK in redactor.text(text)


@pytest.mark.parametrize(
    "text",
    [
        *(f"?{name}={SECRET}" for name in ("auth", "sig", "code")), f"Basic {SECRET}==", "ASIA" + "A" * 16, f"a pa\u017f\u017fword={SECRET}",
        *(start + SECRET + SECRET for start in ("gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "sk-", "sk_", "xoxb-")),
        f"rk_live_{SECRET}{SECRET}",
    ],
)  # fmt: skip
def test_each_kind_of_secret_is_known_alone(redactor: Redactor, text: str) -> None:
    assert MASK in redactor.text(text) and SECRET not in redactor.text(text) and "ASIAA" not in redactor.text(text)


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}", f"login(password='{SECRET}', user=3)", f'{{"api_key": "{SECRET}"}}', f"{{'token': '{SECRET}'}}",
        f'"body": "{{\\"password\\": \\"{SECRET}\\"}}"', f"Authorization: Bearer {SECRET}", f"authorization: Basic {SECRET}==",
        f"Bearer {SECRET}", f"Cookie: session={SECRET}; theme=dark", f"https://user:{SECRET}@example.org/path",
        f"redis://:{SECRET}@cache-1:6379/2", f"postgres://u:a@{SECRET}@db/x", f"https://{SECRET}xyz@github.com/a/b",
        f"https://maps.example/api?key={SECRET}&zoom=3", f"run --secret_key={SECRET}",
        f"passwords=[\"{SECRET}\", \"{SECRET}\"]", f"password: {SECRET}", f"X-Api-Key: {SECRET}", f"client_secret = {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----", f"ghp_{SECRET}{SECRET}", f"AKIA{'A' * 16}",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}", f"could not connect to postgres://u:{SECRET[:9]}",
    ],
)  # fmt: skip
def test_a_secret_inside_a_text_is_hidden(redactor: Redactor, text: str) -> None:
    shown = redactor.text(text)

    assert SECRET[:9] not in shown and "AKIAA" not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "the password is wrong", "if password == other:", "KeyError: key: foo", "http://a.b/c:d@e", "12:30:05 user@host",
        "git@github.com:user/repo", "redis://h:6379/0 and name@host", "redis://h:6379", "http://[::1]:8000",
        "Book:53", "deadlock detected", "", "basic authentication",
    ],
)  # fmt: skip
def test_harmless_text_is_left_alone(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text


def test_a_text_is_redacted_once(redactor: Redactor) -> None:
    once = redactor.text(f"Authorization: Bearer {SECRET} password={SECRET} redis://:{SECRET}@h")

    assert redactor.text(once) == once


def test_deep_nesting_is_hidden_and_does_not_break_anything(redactor: Redactor) -> None:
    value: object = SECRET
    for _ in range(500):
        value = [value]

    assert SECRET not in str(redactor.value(value))


@pytest.mark.parametrize(
    "text",
    ["a" * 400_000, 'password="' * 40_000, "://a:" * 80_000, "eyJ" * 130_000, "token" * 80_000, "://" + "a" * 400_000, '\\"' * 200_000],
)
def test_hostile_text_costs_no_more_than_its_length(redactor: Redactor, text: str) -> None:
    began = time.thread_time()

    redactor.text(text)

    assert time.thread_time() - began < 2


def test_a_setting_adds_words_of_the_project(settings) -> None:
    settings.JOBADMIN = {**settings.JOBADMIN, "REDACT": ["patient_no"]}

    assert resolver().redact({"patientNo": 77, "PATIENT-NO": "x", "doctor": "y"}) == {"patientNo": MASK, "PATIENT-NO": MASK, "doctor": "y"}


def test_a_setting_names_a_resolver_of_the_project(settings) -> None:
    settings.JOBADMIN = {**settings.JOBADMIN, "RESOLVER": f"{__name__}.Shouting"}

    assert resolver().redact_text("quiet") == "QUIET"


class Shouting(type(resolver())):
    def redact_text(self, text: str) -> str:
        return text.upper()


_PIECES = [
    "password", "passwd", "pwd", "secret", "token", "api_key", "access-key", "auth_key", "credential", "csrftoken", "sessionid", "authorization",
    "set-cookie", "Bearer ", "Basic ", "eyJ", "AKIA", "ghp_", "glpat-", "sk-live_", "rk_live_", "xoxb-", "github_pat_", "://user:", "@host", "?key=",
    "&sig=", "=", ": ", '"', "'", "-----BEGIN RSA PRIVATE KEY-----", "abcdefghijklmnop0123", "ABCDEFGHIJKLMNOP", "==", " ", "{", "x",
]  # fmt: skip


def test_a_text_that_one_look_lets_pass_holds_nothing_that_a_pattern_finds() -> None:
    passed = [text for text in map("".join, product(_PIECES, repeat=3)) if redaction._MAY_HOLD.search(text) is None]

    assert len(passed) > 100
    for pattern, replacement in redaction._PATTERNS:
        assert [text for text in passed if pattern.sub(replacement, text) != text] == []
