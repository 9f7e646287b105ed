// Parts of a page that this one and the page without a server have in common.
import { newPicture } from "./pictures.js";

export const MOST_BYTES = 20 * 2 ** 20;
export const NO_FILE = "What was dropped is no file.";

export function sampleButton({ caption, bytes }, shape, take) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = caption;
  button.setAttribute("aria-label", `Sample: ${caption}`);
  const image = newPicture("", bytes, shape);
  image.setAttribute("aria-hidden", "true");
  button.append(image);
  button.addEventListener("click", take);
  return button;
}

export function classRow({ name, probability }) {
  const row = document.createElement("li");
  const [title, value] = [0, 1].map(() => document.createElement("span"));
  const bar = document.createElement("progress");
  title.textContent = name;
  value.textContent = `${(100 * probability).toFixed(1)}\u00a0%`;
  bar.value = probability;
  bar.setAttribute("aria-label", `Probability of ${name}`);
  row.append(title, bar, value);
  return row;
}

// Calls `take` with each file that is chosen or dropped, and with undefined for
// what is no file, such as a picture of another page, which would have to be
// fetched from there.
export function onFile(box, input, take) {
  input.addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) take(file);
    event.target.value = ""; // So that the same file can be chosen again.
  });
  for (const kind of ["dragenter", "dragover"]) {
    box.addEventListener(kind, () => box.classList.add("over"));
  }
  for (const kind of ["dragleave", "drop"]) {
    box.addEventListener(kind, () => box.classList.remove("over"));
  }
  box.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
}

// A file that misses its place must not replace the page.
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => event.preventDefault());
}
