// From the description to what people read: references followed, types in words, a curl that works.

/** What ``part`` refers to; words beside a reference win. */
export function follow(document, part) {
  if (!part || !part.$ref) return part ?? {};
  const { $ref, ...beside } = part;
  const found = $ref.slice(2).split("/").reduce((place, name) => place[name], document);
  return { ...follow(document, found), ...beside };
}

/** Every operation once, in order: {id, tags, method, path, operation, also}; other spellings of its path in ``also``. */
export function operations(document) {
  const found = [];
  const also = new Map();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const home = operation["x-alias-of"];
      if (home) also.set(`${method} ${home}`, [...(also.get(`${method} ${home}`) ?? []), path]);
      else found.push({ id: operation.operationId, tags: operation.tags, method, path, operation });
    }
  }
  return found.map((one) => ({ ...one, also: also.get(`${one.method} ${one.path}`) ?? [] }));
}

/** A schema in words: {type, words, more}; ``words`` are the values of a closed list. */
export function inWords(document, schema) {
  const kept = follow(document, schema);
  if (kept.enum) return { type: "one of", words: kept.enum, more: "" };
  if (kept.anyOf && !kept.type) {
    const parts = kept.anyOf.map((one) => inWords(document, one));
    return { type: [...new Set(parts.map((part) => part.type))].join(" or "), words: [], more: "" };
  }
  const type = [kept.type ?? "any"].flat().join(" or ");
  if (kept.format === "binary") return { type: "file", words: [], more: "" };
  if (kept.format === "byte") return { type: "base64", words: [], more: "" };
  if (kept.title === "Colour") return { type: "colour", words: [], more: "" };
  if (kept.type === "array") return { type: `list of ${inWords(document, kept.items).type}`, words: [], more: "" };
  const range = kept.minimum === undefined ? "" : `${kept.minimum} to ${kept.maximum}`;
  return { type: kept.format ? `${type}, ${kept.format}` : type, words: [], more: range };
}

/** Where to ask: the address of the description, or of this page. */
export function base(document) {
  const url = document.servers[0].url;
  return new URL(url, location.href).href.replace(/\/$/, "");
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A curl for an operation, one option a line. */
export function curl(document, { method, path, operation }) {
  const query = operation.parameters?.map((one) => follow(document, one)).filter((one) => one.in === "query" && one.required);
  const asked = query?.length ? `?${query.map((one) => `${one.name}=…`).join("&")}` : "";
  const lines = [`curl ${quoted(base(document) + path + asked)}`];
  if (method === "delete") lines[0] += " -X DELETE";
  const key = keyHeader(document, operation);
  if (key) lines.push(`-H ${quoted(key)}`);
  const content = follow(document, operation.requestBody).content ?? {};
  const form = content["multipart/form-data"];
  if (form) lines.push(...fields(document, form.schema));
  else if (method === "post") lines.push("-X POST");
  if (answersPicture(document, operation)) lines.push("-o cutout.png");
  return lines.join(" \\\n  ");
}

function fields(document, schema) {
  const whole = follow(document, schema);
  const needed = whole.required ?? whole.oneOf?.[0].required ?? [];
  const shown = needed.length ? needed : Object.keys(whole.properties ?? {}).slice(0, 1);
  return shown.map((name) => {
    const isFile = inWords(document, whole.properties[name]).type === "file";
    return `-F ${name}=${isFile ? `@${name === "archive" ? "pictures.zip" : "photo.jpg"}` : "…"}`;
  });
}

function keyHeader(document, operation) {
  for (const choice of operation.security ?? []) {
    const scheme = document.components.securitySchemes[Object.keys(choice)[0]];
    if (scheme?.in === "header") return `${scheme.name}: KEY`;
    if (scheme?.scheme === "bearer") return "authorization: Bearer KEY";
  }
  return "";
}

function answersPicture(document, operation) {
  const content = follow(document, operation.responses["200"]).content ?? {};
  return Object.keys(content).some((media) => media.startsWith("image/") || media === "application/zip");
}

/** All that a search may find of an operation, in small letters. */
export function searchable(document, { path, method, operation, also }) {
  const names = (operation.parameters ?? []).map((one) => follow(document, one).name);
  for (const content of Object.values(follow(document, operation.requestBody).content ?? {})) {
    names.push(...Object.keys(follow(document, content.schema).properties ?? {}));
  }
  const said = [method, path, operation.summary, ...operation.tags, ...names, ...also, ...Object.keys(operation.responses)];
  return said.join(" ").toLowerCase();
}
