"""The parts of the harness that need no server: figures, forged tokens, processes, the report."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gatebook.tools.bench import report
from gatebook.tools.bench.chains import chain, with_renewed
from gatebook.tools.bench.forged import Forge
from gatebook.tools.bench.load_python import percentile
from gatebook.tools.bench.rounds import Figures
from gatebook.tools.bench.subject import Request
from gatebook.tools.bench.usage import family, memory, processor_seconds


def test_percentiles() -> None:
    """They are those of the values, and of few values they are within them."""
    values = [float(number) for number in range(1, 102)]

    assert percentile(values, 50) == 51.0
    assert percentile(values, 99) == 100.0
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) == 0.0


def test_what_is_renewed_is_found_in_either_body() -> None:
    """In JSON and in a form, by its name alone."""
    in_form = Request(method="POST", path="/", body="not_token=1&token=old&x=2")
    in_json = Request(method="POST", path="/", body='{"a": "token", "token": "old"}')

    assert chain(in_form, "token") == ("not_token=1&token=", "old", "&x=2")
    assert with_renewed(in_form, "token", "n w+").body == "not_token=1&token=n%20w%2B&x=2"
    assert with_renewed(in_json, "token", "new").body == '{"a": "token", "token": "new"}'
    with pytest.raises(ValueError, match="has no token"):
        chain(Request(method="POST", path="/", body="{}"), "token")


def test_forged_tokens_are_wrong_in_one_thing_each() -> None:
    """All variants verify; of what must be refused some verify, and say what they must not."""
    key = ec.generate_private_key(ec.SECP256R1())
    claims = {"iss": "i", "sub": "s", "aud": "a", "jti": "j", "iat": 10**9, "exp": 10**10}
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "k", "typ": "at+jwt"})
    forge = Forge(token, key)

    def read(text: str) -> object:
        options = {"verify_aud": False, "verify_exp": False}
        return jwt.decode(text, key.public_key(), algorithms=["ES256"], options=options)

    variants = list(forge.variants(5))
    refused = forge.refused()
    changed = {"expired", "another audience", "another issuer", "another account", "an unknown id"}

    assert len({*variants, token}) == 6
    assert all(read(one) != claims for one in variants)
    assert all(read(refused[name]) != claims for name in changed)
    assert len({*refused.values(), token}) == len(refused) + 1
    for name in refused.keys() - changed:
        with pytest.raises(jwt.InvalidTokenError):
            read(refused[name])


def test_the_work_of_processes_is_seen() -> None:
    """Processor time grows with work, and memory is there; what has ended counts as nothing."""
    mine = family(os.getpid())
    before = processor_seconds(mine)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: sum(range(20_000_000))).result()

    assert os.getpid() in mine
    assert processor_seconds(mine) > before
    assert memory(mine).total > 1
    assert memory([2**30]).total == 0
    assert processor_seconds([2**30]) == 0


def test_the_report_says_how_many_times_faster(tmp_path: Path) -> None:
    """Against each peer on the same path, and against the best; and its JSON holds it all."""

    def figures(subject: str, rate: float, wrong: int = 0) -> Figures:
        return Figures(
            subject=subject, path="keys (JWKS)", rate=rate, p50=1, p99=2, cpu=0.1,
            memory=50, largest=40, requests=100, wrong=wrong,
        )  # fmt: skip

    ours, slow, fast = figures("gatebook, x", 900), figures("slow", 90), figures("fast", 300, 2)
    made = report.Report(
        machine="m", generator="wrk", runs=1, seconds=1, figures=[ours, slow, fast],
        hashes=[], notes={}, missing={},
    )  # fmt: skip
    report.write(made, tmp_path / "found.json")

    assert report.best_peer("keys (JWKS)", made.figures) == fast
    assert report.ratios(made.figures) == [
        "keys (JWKS): gatebook, x is 10.0 x slow",
        "keys (JWKS): gatebook, x is 3.0 x fast",
    ]
    assert made.wrong == 2
    assert json.loads((tmp_path / "found.json").read_bytes())["figures"][0]["rate"] == 900
