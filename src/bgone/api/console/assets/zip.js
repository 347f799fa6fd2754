// A ZIP file of blobs, stored as they are: pictures are compressed already. Only their checksums are read; the bytes
// stay where the browser keeps them. PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.

const MOST = 0xffffffff; // without ZIP64
const UTF8_NAMES = 0x0800;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {{name: string, blob: Blob, date?: Date}[]} files @returns {Promise<Blob>} */
export async function zip(files) {
  const parts = [];
  const directory = [];
  const names = new Set();
  let offset = 0;
  for (const { name, blob, date = new Date() } of files) {
    const bytes = new TextEncoder().encode(unique(name, names));
    const facts = { crc: await checksum(blob), size: blob.size, date, bytes, offset };
    const local = header(0x04034b50, 30, facts);
    parts.push(local, bytes, blob);
    directory.push(header(0x02014b50, 46, facts), bytes);
    offset += local.length + bytes.length + blob.size;
    if (offset > MOST) throw new RangeError("Together these pictures are larger than a ZIP file can be (4 GB).");
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const end = fields(22, [
    [0, 4, 0x06054b50], [8, 2, names.size], [10, 2, names.size], [12, 4, length], [16, 4, offset],
  ]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** The header before a file, or, longer by six fields, its entry in the directory. */
function header(signature, length, { crc, size, date, bytes, offset }) {
  const isEntry = length === 46;
  const at = isEntry ? 6 : 4;
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  return fields(length, [
    [0, 4, signature], ...(isEntry ? [[4, 2, 20], [42, 4, offset]] : []),
    [at, 2, 20], [at + 2, 2, UTF8_NAMES], [at + 6, 2, time], [at + 8, 2, day],
    [at + 10, 4, crc], [at + 14, 4, size], [at + 18, 4, size], [at + 22, 2, bytes.length],
  ]);
}

function fields(length, values) {
  const view = new DataView(new ArrayBuffer(length));
  for (const [at, width, value] of values) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
  }
  return new Uint8Array(view.buffer);
}

async function checksum(blob) {
  let value = 0xffffffff;
  for (const reader = blob.stream().getReader(); ; ) {
    const { done, value: bytes } = await reader.read();
    if (done) return (value ^ 0xffffffff) >>> 0;
    for (let at = 0; at < bytes.length; at++) value = TABLE[(value ^ bytes[at]) & 255] ^ (value >>> 8);
  }
}

/** a.png, a-2.png, a-3.png; nothing that unpacking could put elsewhere. */
function unique(name, taken) {
  const plain = name.replace(/[\\/:\u0000-\u001f]/g, "_").replace(/^\.+/, "_");
  const [, stem, suffix] = plain.match(/^(.*?)(\.[^.]*)?$/s);
  let free = plain;
  for (let count = 2; taken.has(free); count++) free = `${stem}-${count}${suffix ?? ""}`;
  taken.add(free);
  return free;
}
