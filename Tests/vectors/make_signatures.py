# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Writes signatures.json: requests to Amazon Bedrock with the signatures that botocore, AWS's own library, gives them.

  python3 Tests/vectors/make_signatures.py      # needs botocore
"""

import datetime
import json
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CASES = []


def case(
    name, method, url, body, time, region, token=None, content_type="application/json", key="TESTACCESSKEY",
    secret="test-secret-key",
):
    moment = datetime.datetime.strptime(time, "%Y%m%dT%H%M%SZ")
    headers = {"Content-Type": content_type} if content_type else {}
    request = AWSRequest(method=method, url=url, data=body.encode(), headers=headers)
    canonical = []
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        auth = SigV4Auth(Credentials(key, secret, token), "bedrock", region)
        plain = auth.canonical_request

        def kept(request):
            canonical.append(plain(request))
            return canonical[-1]

        auth.canonical_request = kept
        auth.add_auth(request)
    assert request.headers["X-Amz-Date"] == time
    parts = urlsplit(url)
    CASES.append({
        "name": name, "method": method, "host": parts.netloc,
        "target": parts.path + ("?" + parts.query if parts.query else ""), "content_type": content_type,
        "body": body, "time": int(moment.replace(tzinfo=datetime.timezone.utc).timestamp()), "stamp": time,
        "region": region, "access_key": key, "secret_key": secret, "session_token": token,
        "canonical": canonical[0], "authorization": request.headers["Authorization"],
    })


RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
HI = '{"messages":[{"role":"user","content":[{"text":"hi"}]}]}'
case(
    "a plain model", "POST", RUNTIME + "/model/us.amazon.nova-micro-v1%3A0/converse", HI, "20250102T030405Z",
    "us-east-1",
)
case(
    "a stream", "POST", RUNTIME + "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream", HI,
    "20250102T030405Z", "us-east-1",
)
case(
    "temporary credentials", "POST", RUNTIME + "/model/us.amazon.nova-micro-v1%3A0/converse", HI,
    "20250102T030405Z", "us-east-1", "FwoGZXIvYXdzEBYaDtoken/with+signs==",
)
case(
    "the ARN of a profile", "POST",
    RUNTIME + "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
    HI, "20251231T235959Z", "us-east-1",
)
case(
    "the ARN of an application profile", "POST",
    "https://bedrock-runtime.eu-central-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Aapplication-inference-profile%2Fab12cd34ef56/converse-stream",
    HI, "20240229T120000Z", "eu-central-1",
)
case(
    "a body that is not ASCII", "POST", RUNTIME + "/model/m/converse",
    '{"messages":[{"role":"user","content":[{"text":"grüße 🙂 \\u00e9"}]}]}', "20260301T000000Z", "us-east-1",
)
case(
    "an empty body", "POST", RUNTIME + "/model/m/converse", "", "20200101T000000Z", "us-east-1",
)
case(
    "a list of models", "GET", "https://bedrock.us-west-2.amazonaws.com/foundation-models", "",
    "20250615T101112Z", "us-west-2", content_type=None,
)
case(
    "a query", "GET",
    "https://bedrock.us-west-2.amazonaws.com/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED", "",
    "20250615T101112Z", "us-west-2", content_type=None,
)
case(
    "a query out of order", "GET",
    "https://bedrock.us-west-2.amazonaws.com/inference-profiles?type=SYSTEM_DEFINED&maxResults=10&a=%2F", "",
    "20250615T101112Z", "us-west-2", "tok", content_type=None,
)
case(
    "a port", "POST", "http://127.0.0.1:9000/model/m/converse", HI, "20250102T030405Z", "us-east-1",
)
case(
    "a path below a base", "POST", "https://proxy.example/aws/model/a%3Ab%2Fc~d_e-f.g/converse", HI,
    "20370119T031408Z", "ap-southeast-2",
)
case(
    "spaces and percent signs", "POST", RUNTIME + "/model/a%20b%25c%C3%BC/converse", HI, "19991231T235959Z",
    "us-east-1",
)
case(
    "another secret", "POST", RUNTIME + "/model/m/converse", HI, "20250102T030405Z", "us-gov-west-1",
    key="AKID/x+y", secret="s/e+c=r e t",
)

PLACE = Path(__file__).with_name("signatures.json")
PLACE.write_text(json.dumps(CASES, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
