"""Picsart's n8n node, unchanged but for the address it talks to.

Not here: the official clients in Python and TypeScript, which no registry has; ``tests/api/test_picsart.py`` repeats
their requests.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.clients import install
from tests.origin import site
from tests.pictures import ball, decode
from tests.serving import Served

PHOTO = partial(pictures.photo, of=ball)(321, 240)
NODE = "@picsart/n8n-nodes-picsart-creative-apis"
EXECUTE = f"{NODE}/dist/nodes/PicsartImage/execute/executeRemoveBackground.js"


def _redirect(modules: Path) -> None:
    """The address that the node has built in, and of n8n the one class that it needs."""
    path = modules / EXECUTE
    text = path.read_text()
    changed = text.replace("'https://api.picsart.io/", "process.env.SERVER + '/")
    assert changed != text
    path.write_text(changed)
    host = modules / "n8n-workflow"
    host.mkdir()
    (host / "index.js").write_text(
        "exports.NodeOperationError = class extends Error { constructor(_node, message) { super(message) } }"
    )


@pytest.fixture(scope="session")
def node() -> Path:
    """A folder where node finds it, without n8n itself: 145 MB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("npm_config_legacy_peer_deps", "true")
        return install.node_packages("picsart", {NODE: "5.4.8"}, edit=_redirect)


@pytest.fixture
def link() -> Iterator[str]:
    """A URL of the photo."""
    with site({"/photo.jpg": PHOTO}) as address:
        yield f"{address}/photo.jpg"


# What n8n gives to a node: its parameters, and requests with the key in the header of the credentials' own definition.
HOST = """
const {executeRemoveBackground} = require(process.argv[1]);
const parameters = JSON.parse(process.argv[2]);
const {PicsartApi} = require(process.argv[3]);
const [header] = Object.keys(new PicsartApi().authenticate.properties.headers);
const context = {
    getNode: () => ({}),
    getNodeParameter: (name, _item, otherwise) => parameters[name] ?? otherwise,
    helpers: {
        assertBinaryData: () => ({fileName: 'photo.jpg', mimeType: 'image/jpeg'}),
        getBinaryDataBuffer: () => Buffer.from(parameters.picture, 'base64'),
        prepareBinaryData: data => data.toString('base64'),
        httpRequestWithAuthentication: async (_name, {url, method, headers, body}) => {
            const answer = await fetch(url, {method, body, headers: {...headers, [header]: 'k'}});
            if (!answer.ok) throw {response: {status: answer.status, data: await answer.json()}};
            return answer.json();
        },
        httpRequest: async ({url}) => Buffer.from(await (await fetch(url)).arrayBuffer()),
    },
};
const said = [];
executeRemoveBackground(context, 0, said)
    .then(() => console.log(JSON.stringify(said[0])))
    .catch(error => console.log(JSON.stringify({refused: error.message})));
"""


def ask(node: Path, server: Served, **parameters: str) -> Any:
    """What the node hands on, or says was wrong."""
    credentials = f"{NODE}/dist/credentials/PicsartApi.credentials.js"
    command = ["node", "-e", HOST, EXECUTE, json.dumps(parameters), credentials]
    done = install.run(command, node, SERVER=server.url)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_n8n_node_sends_a_file(node: Path, server: Served) -> None:
    """With ``size=auto`` beside it; the picture is fetched from the URL without the key."""
    text = base64.b64encode(PHOTO).decode()
    said = ask(node, server, resource="DATA", inputBinaryField="data", picture=text, format="PNG")

    assert said["json"]["result"]["status"] == "success"
    pixels = decode(base64.b64decode(said["binary"]["data"]))
    assert pixels.shape == (240, 321, 4)
    assert (pixels[120, 160, 3], pixels[2, 2, 3]) == (255, 0)


def test_n8n_node_sends_a_url_and_a_colour(node: Path, server: Served, link: str) -> None:
    """Parts without a type or a file name."""
    said = ask(node, server, resource="Image URL", image_url=link, backgroundColor="#00ff00", format="JPG")

    pixels = decode(base64.b64decode(said["binary"]["data"]))
    assert pixels.shape == (240, 321, 3)
    assert pixels[2, 2].tolist() == pytest.approx([0, 255, 0], abs=3)


def test_n8n_node_shows_what_was_wrong(node: Path, server: Served, link: str) -> None:
    """``detail``, under the node's own words for the status."""
    said = ask(node, server, resource="Image URL", image_url=link, backgroundColor="blurple", format="PNG")
    assert said["refused"].startswith("Client error: bg_color: expected")
    said = ask(node, server, resource="Image URL", image_url=f"{link}.gone", format="PNG")
    assert said["refused"].startswith("Client error: The picture could not be fetched")
