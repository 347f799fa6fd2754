// One picture to the server and back, with progress both ways.

/** The server said no, or nothing. `option` is the one it complained of; `retryAfter` is in seconds. */
export class Refusal extends Error {
  constructor(message, { status = 0, option = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, option, retryAfter });
  }
}

const ADDRESS = new URL("cut/v1", document.baseURI).href;

/**
 * Ask for a cutout.
 * @param {{file?: File, url?: string}} source The picture.
 * @param {[string, string|File][]} asked Options.
 * @param {{key: string, signal: AbortSignal, onProgress: (stage: string, share: number|null) => void}} how
 * @returns {Promise<{blob: Blob, width: number, height: number, seconds: number}>}
 */
export function send(source, asked, { key, signal, onProgress }) {
  const form = new FormData();
  if (source.file) form.append("image", source.file, source.file.name);
  else form.append("image_url", source.url);
  for (const [name, value] of asked) form.append(name, value);

  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of an upload's progress
    const started = performance.now();
    request.open("POST", ADDRESS);
    request.responseType = "blob";
    if (key) request.setRequestHeader("X-Api-Key", key);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress("sending", event.loaded / event.total);
    };
    request.upload.onload = () => onProgress("working", null);
    request.onprogress = (event) => {
      if (request.status === 200) onProgress("receiving", event.lengthComputable ? event.loaded / event.total : null);
    };
    request.onload = async () => {
      if (request.status !== 200) return reject(await refusalOf(request));
      resolve({
        blob: request.response,
        width: Number(request.getResponseHeader("X-Width")),
        height: Number(request.getResponseHeader("X-Height")),
        seconds: (performance.now() - started) / 1000,
      });
    };
    request.onerror = async () => reject(new Refusal(await breakOf(source)));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    onProgress("sending", 0);
    request.send(form);
  });
}

/** Why nothing came back, in words: browsers say only that nothing did. */
async function breakOf({ file }) {
  try {
    await file?.slice(0, 1).arrayBuffer();
  } catch {
    return "This file was changed, moved or deleted since you added it. Add it once more.";
  }
  return "The server did not answer, or the connection broke. Is it running? Then try again.";
}

async function refusalOf(request) {
  const { status } = request;
  const retryAfter = Number(request.getResponseHeader("Retry-After")) || 0;
  let problem = {};
  try {
    problem = JSON.parse(await request.response.text());
  } catch {
    // a proxy's page, not the server's words
  }
  const message = problem.detail || (status === 413 ? "The picture is too large." : `The server answered ${status}.`);
  return new Refusal(message, { status, retryAfter, option: problem.option ?? "" });
}
