"""Holds our verdicts on passkey responses against two verifiers written by others.

The cases come from the example `oracle_cases` of the crate; the others are PyPI `webauthn` (duo-labs) and `fido2`
(Yubico), both of which take the expected challenge as a parameter. Run from the workspace root:

    python3 -m venv /tmp/oracle
    /tmp/oracle/bin/pip install --require-hashes -r crates/passkey/tests/oracle/requirements.txt
    cargo run -q -p passkey --example oracle_cases | /tmp/oracle/bin/python crates/passkey/tests/oracle/webauthn_oracle.py

Exits non-zero on any disagreement that `KNOWN` does not name, on one that it names and that does not happen, and
when there are too few cases to mean anything.
"""

import collections
import json
import sys

import webauthn
from fido2 import cbor
from fido2.attestation import Attestation
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import AttestedCredentialData
from webauthn.helpers.cose import COSEAlgorithmIdentifier

ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]

BOTH = ("registration", "assertion")

# Where another verifier accepts what we refuse: oracle, ceremonies, rule, why. There is no place for a row in which
# one refuses what we accept.
DIFFERENCES = [
    ("webauthn", BOTH, "cross origin", "it reads crossOrigin and leaves it to the caller"),
    ("fido2", BOTH, "cross origin", "it reads crossOrigin and leaves it to the caller"),
    ("webauthn", BOTH, "top origin", "it does not read topOrigin"),
    ("fido2", BOTH, "top origin", "it does not read topOrigin"),
    ("webauthn", BOTH, "member twice", "Python's json keeps the last"),
    ("fido2", BOTH, "member twice", "Python's json keeps the last"),
    ("fido2", BOTH, "backed up but not eligible", "it leaves the backup flags to the caller"),
    ("webauthn", ["assertion"], "backup eligibility gained", "it is not told what was stored"),
    ("fido2", ["assertion"], "backup eligibility gained", "it is not told what was stored"),
    ("fido2", ["assertion"], "counter equal", "it keeps no counter"),
    ("fido2", ["assertion"], "counter lower", "it keeps no counter"),
    ("fido2", ["assertion"], "counter gone", "it keeps no counter"),
    ("webauthn", ["assertion"], "user handle of another", "it leaves the user handle to the caller"),
    ("fido2", ["assertion"], "user handle of another", "it leaves the user handle to the caller"),
    ("webauthn", ["registration"], "credential id of 1024 bytes", "it has no upper bound"),
    ("fido2", ["registration"], "credential id of 1024 bytes", "it has no upper bound"),
    ("webauthn", ["registration"], "attestation object trailing", "its CBOR reader stops after the first value"),
    ("fido2", ["registration"], "attestation object short by 1", "its CBOR reader takes a short byte string"),
]
KNOWN = {(oracle, ceremony, rule) for oracle, ceremonies, rule, _ in DIFFERENCES for ceremony in ceremonies}


def response(case):
    """The case as the JSON that a browser hands on."""
    fields = {
        "registration": {"clientDataJSON": "client_data_json", "attestationObject": "attestation_object"},
        "assertion": {
            "clientDataJSON": "client_data_json",
            "authenticatorData": "authenticator_data",
            "signature": "signature",
            "userHandle": "user_handle",
        },
    }[case["ceremony"]]
    return {
        "id": case["id"],
        "rawId": case["id"],
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {name: case[field] for name, field in fields.items() if case[field] is not None},
    }


def ask_webauthn(case):
    common = {
        "credential": response(case),
        "expected_challenge": websafe_decode(case["challenge"]),
        "expected_rp_id": case["rp_id"],
        "expected_origin": [case["origin"]],
        "require_user_verification": True,
    }
    if case["ceremony"] == "registration":
        webauthn.verify_registration_response(**common, supported_pub_key_algs=ALGORITHMS)
    else:
        webauthn.verify_authentication_response(
            **common,
            credential_public_key=websafe_decode(case["public_key"]),
            credential_current_sign_count=case["known_count"],
        )


def verify_attestation(attestation, client_data_hash):
    verifier = Attestation.for_type(attestation.fmt)()
    verifier.verify(attestation.att_stmt, attestation.auth_data, client_data_hash)


def ask_fido2(case):
    server = Fido2Server(
        {"id": case["rp_id"], "name": "stepup"},
        attestation="direct",
        verify_origin=lambda origin: origin == case["origin"],
        verify_attestation=verify_attestation,
    )
    state = {"challenge": case["challenge"], "user_verification": "required"}
    if case["ceremony"] == "registration":
        server.register_complete(state, response(case))
    else:
        key = CoseKey.parse(cbor.decode(websafe_decode(case["public_key"])))
        known = AttestedCredentialData.create(bytes(16), websafe_decode(case["id"]), key)
        server.authenticate_complete(state, [known], response(case))


ORACLES = {"webauthn": ask_webauthn, "fido2": ask_fido2}


def main():
    disagreements, seen, asked = [], set(), collections.Counter()
    for line in sys.stdin:
        case = json.loads(line)
        if case["rule"].startswith("good") != case["accepted"]:
            disagreements.append(f"ours: {case['rule']}: {case['refused']}")
        for name, ask in ORACLES.items():
            try:
                ask(case)
                accepted, why = True, "accepted"
            except Exception as refusal:  # both raise what comes to hand: their own types, ValueError, KeyError …
                accepted, why = False, f"{type(refusal).__name__}: {refusal}"
            asked[name, case["ceremony"], accepted] += 1
            if accepted == case["accepted"]:
                continue
            row = (name, case["ceremony"], case["rule"])
            if row in KNOWN and accepted:
                seen.add(row)
            else:
                disagreements.append(f"{row} {case['algorithm']}: we say {case['refused']!r}, it says {why}")
    disagreements += [f"{row}: it now agrees; take the row out of KNOWN" for row in sorted(KNOWN - seen)]
    for name in ORACLES:
        for ceremony in ("registration", "assertion"):
            for accepted in (True, False):
                if asked[name, ceremony, accepted] < 10:
                    disagreements.append(f"{name}: too few {ceremony} cases with accepted = {accepted}")
    for disagreement in disagreements:
        print(disagreement)
    print(f"{sum(asked.values())} verdicts compared, {len(disagreements)} disagreements, {len(KNOWN)} known differences")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
