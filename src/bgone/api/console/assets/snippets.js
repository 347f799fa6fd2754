// The same request as text: for curl, for Python's requests and for JavaScript's fetch. The key is never in it.

/**
 * @typedef {object} Asking
 * @property {string} address Of the API.
 * @property {{name: string, url?: string}} source The picture: a file's name, or an address.
 * @property {[string, string|File][]} asked Options.
 * @property {boolean} hasKey
 * @property {string} into Name of the answer's file.
 */

/** @param {Asking} asking */
export function curl({ address, source, asked, hasKey, into }) {
  const lines = [`curl -f ${shell(address)}`];
  if (hasKey) lines.push('-H "X-Api-Key: $BGONE_KEY"');
  for (const [name, value] of fieldsOf(source, asked)) {
    if (value.file !== undefined) lines.push(`-F ${shell(`${name}=@${curlName(value.file)}`)}`);
    // curl reads ";", and "@" or "<" at the beginning, as its own signs
    else lines.push(`${/^[@<]|[;"\\]/.test(value.text) ? "--form-string" : "-F"} ${shell(`${name}=${value.text}`)}`);
  }
  lines.push(`-o ${shell(into)}`);
  return `${lines.join(" \\\n  ")}\n`;
}

/** @param {Asking} asking */
export function python({ address, source, asked, hasKey, into }) {
  const fields = fieldsOf(source, asked);
  const files = fields.filter(([, value]) => value.file !== undefined);
  const texts = fields.filter(([, value]) => value.text !== undefined);
  const entry = ([name, value]) => `        ${quoted(name)}: ${value.file === undefined ? quoted(value.text) : `open(${quoted(value.file)}, "rb")`},\n`;
  const table = (name, rows) => (rows.length ? `    ${name}={\n${rows.map(entry).join("")}    },\n` : "");
  return (
    `${hasKey ? "import os\n\n" : ""}import requests\n\n` +
    `answer = requests.post(\n    ${quoted(address)},\n` +
    (hasKey ? '    headers={"X-Api-Key": os.environ["BGONE_KEY"]},\n' : "") +
    table("files", files) + table("data", texts) +
    "    timeout=120,\n)\nanswer.raise_for_status()\n" +
    `with open(${quoted(into)}, "wb") as file:\n    file.write(answer.content)\n`
  );
}

/** @param {Asking} asking */
export function javascript({ address, source, asked, hasKey, into }) {
  const fields = fieldsOf(source, asked);
  const reads = fields.some(([, value]) => value.file !== undefined);
  const append = ([name, value]) =>
    value.file === undefined
      ? `form.append(${quoted(name)}, ${quoted(value.text)});\n`
      : `form.append(${quoted(name)}, new Blob([await readFile(${quoted(value.file)})]), ${quoted(value.file)});\n`;
  return (
    `import { ${reads ? "readFile, " : ""}writeFile } from "node:fs/promises";\n\n` +
    `const form = new FormData();\n${fields.map(append).join("")}\n` +
    `const answer = await fetch(${quoted(address)}, {\n  method: "POST",\n` +
    (hasKey ? '  headers: { "X-Api-Key": process.env.BGONE_KEY },\n' : "") +
    "  body: form,\n});\nif (!answer.ok) throw new Error(await answer.text());\n" +
    `await writeFile(${quoted(into)}, new Uint8Array(await answer.arrayBuffer()));\n`
  );
}

/** [name, {file} or {text}] of the picture and all options. */
function fieldsOf(source, asked) {
  const first = source.url === undefined ? ["image", { file: source.name }] : ["image_url", { text: source.url }];
  return [first, ...asked.map(([name, value]) => [name, value instanceof File ? { file: value.name } : { text: value }])];
}

/** For a POSIX shell. */
function shell(text) {
  return /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A file's name as curl's -F reads it. */
function curlName(name) {
  return /[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name;
}

/** A string literal that Python and JavaScript read alike. */
function quoted(text) {
  return JSON.stringify(text);
}
