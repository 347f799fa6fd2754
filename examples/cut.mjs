// Cut a picture with Node's own fetch: node cut.mjs photo.jpg cutout.png
// BGONE_URL is the server's address, BGONE_KEY a key where it needs one.
import { readFile, rename, writeFile } from "node:fs/promises";
import { basename } from "node:path";

const [photo, cutout] = process.argv.slice(2);
const url = process.env.BGONE_URL ?? "http://127.0.0.1:8000";
const key = process.env.BGONE_KEY;

const form = new FormData();
form.set("image", new Blob([await readFile(photo)]), basename(photo));
form.set("crop", "true");
form.set("margin", "5%");

const answer = await fetch(`${url}/cut/v1`, { method: "POST", body: form, headers: key ? { "X-Api-Key": key } : {} });
if (!answer.ok) {
  const problem = await answer.json();
  console.error(`${problem.code}: ${problem.detail}`);
  process.exit(1);
}
await writeFile(`${cutout}.part`, answer.body);
await rename(`${cutout}.part`, cutout);
