import { Pad } from "/drawing.js";
import { MOST_BYTES, NO_FILE, classRow, onFile, sampleButton } from "/elements.js";
import { latest } from "/latest.js";
import { bytesOf, draw, joined, newFigure } from "/pictures.js";
import { ask, lines } from "/requests.js";

const LARGEST_PAD = 64;
const SLOTS = ["first", "second"];
const find = (id) => document.getElementById(id);
const pad = new Pad(find("pad"), find("pad-state"));
const pictures = {};
const reading = {}; // By slot: the file that was asked for last.
let networks = [];
let network = null;
let searching = null;

function tell(error) {
  if (error.name !== "AbortError") find("problem").textContent = error.message;
}

// What waits for an answer shows its error, and leaves the rest as it is.
const guarded = (run) => (...values) =>
  run(...values).catch(tell);

const KINDS = {
  exchanged: "The first picture, with its positions exchanged",
  moved: "The second picture, moved",
};

const worded = (point) =>
  point.replace("_block", ", block ").replace(/^stage/, "stage ")
    .replace(/^representation$/, "the representation");

function options(select, names, chosen) {
  select.replaceChildren(...names.map((name) =>
    new Option(worded(name), name, name === chosen, name === chosen)));
}

function choose(name) {
  network = networks.find((x) => x.name === name);
  const [height, width, channels] = network.shape;
  find("about").textContent =
    `takes ${height}x${width} pixels, ${channels === 1 ? "gray" : "in colour"}; ` +
    (network.fraction_bits === null
      ? "its inverse is exact up to rounding."
      : "its inverse is exact to the last bit.");
  find("absent").textContent = network.absent;
  find("absent").hidden = !network.absent;
  find("metamers-part").hidden = !network.can_search;
  const last = network.points.at(-1);
  options(find("point"), network.points, last);
  options(find("between-point"), network.points, last);
  find("drawing").hidden = Math.max(height, width) > LARGEST_PAD;
  pad.reset(network.shape);
  find("samples").replaceChildren(...network.samples.map((sample) =>
    sampleButton(sample, network.shape, () =>
      put(slot(), sample.bytes, sample.caption))));
  const { samples } = network;
  put("first", samples[0].bytes, samples[0].caption);
  put("second", samples[1 % samples.length].bytes, samples[1 % samples.length].caption);
}

const slot = () => document.querySelector("[name=slot]:checked").value;

function put(name, pixels, note) {
  stop();
  reading[name] = null;
  pictures[name] = pixels;
  find("problem").textContent = "";
  find(`${name}-note`).textContent = note;
  draw(find(name), pixels, network.shape);
  find("metamers").replaceChildren();
  find("search-state").textContent = "";
  if (name === "first") {
    draw(find("original"), pixels, network.shape);
    showClasses();
    showRebuilt();
    showStages();
  }
  showBetween();
}

async function upload(name, file) {
  if (!file) throw new Error(NO_FILE);
  if (file.size > MOST_BYTES) {
    throw new Error(
      `The file is too large: at most ${MOST_BYTES / 2 ** 20} MB are taken.`);
  }
  find(`${name}-note`).textContent = "Reading the file ...";
  const asked = network;
  reading[name] = file;
  try {
    const answer = await ask("picture", { network: asked.name }, file);
    const found = await answer.json();
    if (asked === network && reading[name] === file) {
      put(name, bytesOf(found.pixels), `${file.name}. ${found.note}`);
    }
  } catch (error) {
    if (reading[name] !== file) return; // Another picture is there by now.
    find(`${name}-note`).textContent = "";
    throw error;
  }
}

const showClasses = latest(guarded(async () => {
  const answer = await ask("classes", { network: network.name }, pictures.first);
  const found = await answer.json();
  if (!found.length) {
    find("classes").textContent = "This network has no classifier.";
    return;
  }
  find("classes").replaceChildren(...found.map(classRow));
}));

const showRebuilt = latest(guarded(async () => {
  const query = { network: network.name, point: find("point").value };
  const { shape } = network;
  const answer = await ask("rebuilt", query, pictures.first);
  const found = await answer.json();
  draw(find("rebuilt"), bytesOf(found.pixels), shape);
  draw(find("difference"), bytesOf(found.difference), shape);
  const number = (x) => x.toLocaleString("en");
  find("bits").textContent =
    `${number(found.differing)} of ${number(found.bits)} bits differ`;
  find("difference-caption").textContent = found.differing === 0
    ? "No difference"
    : `Difference, ${number(found.factor)} times`;
}));

const decoded = latest(guarded(async () => {
  const share = find("share").value / 100;
  const query = { network: network.name, point: find("between-point").value, share };
  const { shape } = network;
  const both = joined(pictures.first, pictures.second);
  const found = await (await ask("between", query, both)).json();
  draw(find("between"), bytesOf(found.pixels), shape);
  find("between").dataset.share = share;
  find("between-class").textContent = found.class;
}));

function showBetween() {
  if (!pictures.first || !pictures.second) return;
  const { first, second } = pictures;
  if (first.length !== second.length) return; // While the network changes.
  const share = find("share").value / 100;
  find("share-value").textContent = `${find("share").value} %`;
  const blend = first.map((x, i) => Math.round((1 - share) * x + share * second[i]));
  draw(find("blend"), blend, network.shape);
  decoded();
}

const showStages = latest(guarded(async () => {
  const answer = await ask("stages", { network: network.name }, pictures.first);
  find("stages").replaceChildren(...(await answer.json()).map((x) =>
    newFigure(`Representation behind ${worded(x.name)}`,
      `${worded(x.name)}: ${x.sentence}`,
      bytesOf(x.pixels), x.shape)));
}));

function stop() {
  searching?.abort();
}

async function search() {
  stop();
  const mine = new AbortController();
  searching = mine;
  const state = find("search-state");
  find("metamers").replaceChildren();
  find("search").disabled = true;
  find("search-stop").disabled = false;
  state.textContent = "Searching ...";
  const both = joined(pictures.first, pictures.second);
  try {
    const answer = await ask(
      "metamers", { network: network.name }, both, mine.signal);
    for await (const line of lines(answer)) {
      if (line.pixels) {
        find("metamers").append(newFigure(
          KINDS[line.kind], `${KINDS[line.kind]}. ${line.sentence}`,
          bytesOf(line.pixels), line.shape));
      }
      state.textContent = line.end ?? `Searching: ${line.progress ?? "one is found"}`;
    }
  } catch (error) {
    state.textContent = error.name === "AbortError" ? "Stopped." : "";
    tell(error);
  } finally {
    if (searching === mine) {
      find("search").disabled = false;
      find("search-stop").disabled = true;
    }
  }
}

for (const name of SLOTS) {
  onFile(find(`slot-${name}`), find(`${name}-file`), (file) =>
    guarded(upload)(name, file));
  find(`${name}-inverted`).addEventListener("click", () =>
    put(name, pictures[name].map((x) => 255 - x), find(`${name}-note`).textContent));
}
find("network").addEventListener("change", (event) => choose(event.target.value));
find("point").addEventListener("change", showRebuilt);
find("between-point").addEventListener("change", showBetween);
find("share").addEventListener("input", showBetween);
find("search").addEventListener("click", search);
find("search-stop").addEventListener("click", stop);
find("pad-clear").addEventListener("click", () => pad.reset(network.shape));
find("pad-take").addEventListener("click", () =>
  put(slot(), pad.pixels(network.shape[2]), "Drawn here."));

guarded(async () => {
  networks = await (await ask("networks")).json();
  for (const { samples } of networks) {
    for (const sample of samples) sample.bytes = bytesOf(sample.pixels);
  }
  options(find("network"), networks.map((x) => x.name), networks[0].name);
  choose(networks[0].name);
})();
