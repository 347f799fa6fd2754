// Where pictures come from: chosen, dropped (folders too), pasted, or at an address.

import { byId, tell } from "./dom.js";

const PICTURE_NAME = /\.(jpe?g|png|webp|gif|tiff?|bmp|avif|hei[cf])$/i;

/** Hands every new picture to `add`: `{file, name}` or `{url, name}`, several at once. */
export function listen(add) {
  const files = byId("files");
  byId("choose").addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    take([...files.files]);
    files.value = ""; // so that the same file can be chosen again
  });

  byId("address").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("address-value");
    if (takeAddress(field.value)) field.value = "";
    else field.focus();
  });

  document.addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData.files];
    if (pasted.length) {
      event.preventDefault();
      take(pasted.map(named));
    } else if (!event.target.closest?.("input, textarea")) {
      const text = event.clipboardData.getData("text/plain").trim();
      if (text) takeAddress(text);
    }
  });

  let inside = 0; // dragenter comes for every element on the way
  const sign = byId("drop-sign");
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");
  document.addEventListener("dragenter", (event) => {
    if (carries(event)) sign.hidden = !(++inside > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (carries(event) && --inside <= 0) sign.hidden = true;
  });
  document.addEventListener("dragover", (event) => {
    if (carries(event) && !event.target.closest?.("input[type=file]")) event.preventDefault();
  });
  document.addEventListener("drop", async (event) => {
    inside = 0;
    sign.hidden = true;
    if (!carries(event) || event.target.closest?.("input[type=file]")) return;
    event.preventDefault();
    const address = event.dataTransfer.getData("text/uri-list").split("\n").find((line) => line && !line.startsWith("#"));
    const dropped = await filesOf(event.dataTransfer);
    if (dropped.length) take(dropped);
    else if (address) takeAddress(address.trim());
  });

  function take(found) {
    const pictures = found.filter((file) => file.type.startsWith("image/") || PICTURE_NAME.test(file.name));
    const left = found.length - pictures.length;
    tell(byId("intake-wrong"), left ? `${left === 1 ? `${found.find((file) => !pictures.includes(file)).name} is no picture` : `${left} files are no pictures`}, so left out.` : "");
    if (pictures.length) add(pictures.map((file) => ({ file, name: file.name })));
  }

  function takeAddress(text) {
    let url;
    try {
      url = new URL(text);
    } catch {
      url = null;
    }
    if (!url || !["http:", "https:"].includes(url.protocol)) {
      tell(byId("intake-wrong"), "A link to a picture begins with https:// or http://.");
      return false;
    }
    tell(byId("intake-wrong"), "");
    const last = url.pathname.split("/").pop();
    add([{ url: url.href, name: (last && safely(last)) || url.host }]);
    return true;
  }
}

function safely(encoded) {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** Pasted screenshots are all called image.png. */
function named(file, index) {
  if (file.name && file.name !== "image.png") return file;
  const now = new Date().toTimeString().slice(0, 8).replaceAll(":", "");
  return new File([file], `pasted-${now}${index ? `-${index + 1}` : ""}.png`, { type: file.type });
}

/** All files, those in folders too. The entries have to be taken before the first await: the browser clears the list. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(filesUnder))).flat();
}

async function filesUnder(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) break;
    for (const one of some) if (!one.name.startsWith(".")) found.push(...(await filesUnder(one)));
  }
  return found;
}
