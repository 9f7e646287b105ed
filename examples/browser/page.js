import { Pad } from "./drawing.js";
import { NO_FILE, classRow, onFile, sampleButton } from "./elements.js";
import { latest } from "./latest.js";
import { Network, amplified, differingBits, mixed, shown } from "./network.js";
import { bytesOf, draw } from "./pictures.js";
import { readPicture } from "./upload.js";

const TOP = 5;
const SLOTS = ["first", "second"];
const find = (id) => document.getElementById(id);
const main = document.querySelector("main");
const pad = new Pad(find("pad"), find("pad-state"));
const loaded = {}; // Promises of networks, by their folders.
let abouts = [];
let network = null;
let pictures = {}; // By slot: the pixels, and their representation.
const reading = {}; // By slot: the file that was asked for last.

function tell(error) {
  find("problem").textContent = error.message;
}

const guarded = (run) => (...values) =>
  run(...values).catch(tell);

async function load(about) {
  loaded[about.folder] ??= Network.load(about);
  try {
    return await loaded[about.folder];
  } catch (error) {
    throw new Error(
      `The network cannot be loaded; reload the page to try again: ${error.message}`);
  }
}

const choose = latest(guarded(async () => {
  const about = abouts.find((x) => x.folder === find("network").value);
  find("about").textContent = "Loading, some megabytes ...";
  network = null;
  main.inert = true; // There is nothing to use yet.
  try {
    network = await load(about);
  } finally {
    find("about").textContent = "";
  }
  const [height, width] = about.shape;
  find("about").textContent = `takes ${height}x${width} pixels, gray.`;
  main.inert = false;
  pad.reset(about.shape);
  find("samples").replaceChildren(...about.samples.map((sample) =>
    sampleButton(sample, about.shape, () =>
      put(slot(), sample.bytes, sample.caption))));
  pictures = {};
  SLOTS.forEach((name, i) =>
    put(name, about.samples[i].bytes, about.samples[i].caption));
}));

const slot = () => document.querySelector("[name=slot]:checked").value;

function put(name, pixels, note) {
  reading[name] = null;
  pictures[name] = { pixels };
  find("problem").textContent = "";
  find(`${name}-note`).textContent = note;
  draw(find(name), pixels, network.about.shape);
  if (name === "first") showFirst();
  showBetween();
}

async function upload(name, file) {
  if (!file) throw new Error(NO_FILE);
  if (network === null) return; // A drop comes through.
  const asked = network;
  reading[name] = file;
  const pixels = await readPicture(file, asked.about.shape);
  // Another picture may have been chosen meanwhile.
  if (asked === network && reading[name] === file) {
    put(name, pixels, `${file.name}.`);
  }
}

function encoded(used, picture) {
  picture.encoded ??= used.encode(used.image(picture.pixels));
  return picture.encoded;
}

const showFirst = latest(guarded(async () => {
  const [picture, used] = [pictures.first, network];
  if (used === null) return; // Another one is being loaded.
  const { shape, classes } = used.about;
  const image = used.image(picture.pixels);
  const found = await encoded(used, picture);
  const back = await used.decode(found);
  if (picture !== pictures.first) return; // It is this one's turn next.
  find("classes").replaceChildren(
    ...likeliest(found.probabilities, TOP).map((i) =>
      classRow({ name: classes[i], probability: found.probabilities[i] })));
  const { factor, pixels } = amplified(image, back);
  draw(find("original"), picture.pixels, shape);
  draw(find("rebuilt"), shown(back), shape);
  draw(find("difference"), pixels, shape);
  const number = (x) => x.toLocaleString("en");
  const differing = differingBits(image, back);
  find("bits").textContent =
    `${number(differing)} of ${number(32 * image.length)} bits differ`;
  find("difference-caption").textContent =
    differing === 0 ? "No difference" : `Difference, ${number(factor)} times`;
}));

const likeliest = (probabilities, count) =>
  [...probabilities.keys()]
    .sort((a, b) => probabilities[b] - probabilities[a])
    .slice(0, count);

const showBetween = latest(guarded(async () => {
  const { first, second } = pictures;
  const used = network;
  if (used === null || !first || !second) return;
  const { shape, classes } = used.about;
  const share = find("share").value / 100;
  find("share-value").textContent = `${find("share").value} %`;
  const blend = first.pixels.map((x, i) =>
    Math.round((1 - share) * x + share * second.pixels[i]));
  draw(find("blend"), blend, shape);
  const ends = [await encoded(used, first), await encoded(used, second)];
  const image = await used.decode(mixed(...ends, share));
  const { probabilities } = await used.encode(image);
  if (first !== pictures.first || second !== pictures.second) return;
  draw(find("between"), shown(image), shape);
  find("between").dataset.share = share;
  find("between-class").textContent = classes[likeliest(probabilities, 1)[0]];
}));

for (const name of SLOTS) {
  onFile(find(`slot-${name}`), find(`${name}-file`), (file) =>
    guarded(upload)(name, file));
  find(`${name}-inverted`).addEventListener("click", () => {
    const { pixels } = pictures[name];
    put(name, pixels.map((x) => 255 - x), find(`${name}-note`).textContent);
  });
}
find("network").addEventListener("change", choose);
find("share").addEventListener("input", showBetween);
find("pad-clear").addEventListener("click", () => pad.reset(network.about.shape));
find("pad-take").addEventListener("click", () =>
  put(slot(), pad.pixels(network.about.shape[2]), "Drawn here."));

guarded(async () => {
  const answer = await fetch("networks.json");
  if (!answer.ok) {
    throw new Error(`networks.json: the server answered ${answer.status}`);
  }
  abouts = await answer.json();
  for (const { samples } of abouts) {
    for (const sample of samples) sample.bytes = bytesOf(sample.pixels);
  }
  find("network").replaceChildren(...abouts.map(({ title, folder }) =>
    new Option(title, folder)));
  await choose();
  // Afterwards, so that keeping files does not delay them. Where nothing may be
  // kept, as in some private windows, the page works all the same.
  navigator.serviceWorker?.register("service_worker.js", { updateViaCache: "none" })
    .catch(() => {});
})();
