"""NVIDIA's client of the same protocol, unchanged: every mode of its HTTP side."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    # gevent, which that client is built on, warns of its own imports.
    warnings.simplefilter("ignore")
    triton = pytest.importorskip("tritonclient.http", exc_type=(ImportError, RuntimeError))
    from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(server):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = triton.InferenceServerClient(server.url.removeprefix("http://"))
        yield made
        made.close()


@pytest.fixture
def headers(server):
    return {"Authorization": f"Bearer {server.token}"}


def test_health_and_metadata(client, headers):
    assert client.is_server_live(headers=headers)
    assert client.is_server_ready(headers=headers)
    assert client.is_model_ready("risk", headers=headers)
    assert client.is_model_ready("risk", "1", headers=headers)
    assert not client.is_model_ready("other", headers=headers)
    assert client.get_server_metadata(headers=headers)["name"] == "backstay"
    assert client.get_model_metadata("risk", headers=headers)["platform"] == "onnx_onnxv1"


@pytest.mark.parametrize("sent_binary", [False, True])
@pytest.mark.parametrize("wanted", ["nothing said", "json", "binary"])
def test_infer(client, headers, sent_binary, wanted):
    values = np.array([[2.0], [-2.0]], np.float32)
    tensor = triton.InferInput("age", [2, 1], "FP32")
    tensor.set_data_from_numpy(values, binary_data=sent_binary)
    outputs = None
    if wanted != "nothing said":
        outputs = [triton.InferRequestedOutput("scores", binary_data=wanted == "binary")]
    answer = client.infer("risk", [tensor], outputs=outputs, request_id=f"t-{sent_binary}-{wanted}", headers=headers)
    scores = answer.as_numpy("scores")
    expected = 1 / (1 + np.exp(-4.0))
    np.testing.assert_allclose(scores, [[1 - expected, expected], [expected, 1 - expected]], atol=1e-6)
    assert answer.get_response()["id"] == f"t-{sent_binary}-{wanted}"


def test_errors_reach_the_client_as_sentences(client, headers):
    tensor = triton.InferInput("age", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2), np.float32))
    with pytest.raises(InferenceServerException, match="the model takes"):
        client.infer("risk", [tensor], headers=headers)
    with pytest.raises(InferenceServerException, match="there is no model"):
        client.infer("other", [tensor], headers=headers)
