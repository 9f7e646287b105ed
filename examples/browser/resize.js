// Pictures cut to an aspect ratio and resized. As Pillow does it for the page
// of irevnet-demo, by a triangle that grows with the factor: what a canvas
// does is up to the browser.

// Rows of the file that are on a canvas at once: some browsers refuse large
// ones.
const ROWS = 256;

// Returns the pixels of an ImageBitmap, a byte each, for a network's shape.
export function fitted(bitmap, [height, width, channels]) {
  const scale = Math.min(bitmap.width / width, bitmap.height / height);
  const [w, h] = [width, height].map((x) => Math.max(1, Math.round(x * scale)));
  const left = Math.floor((bitmap.width - w) / 2);
  const top = Math.floor((bitmap.height - h) / 2);
  const rows = narrowed(bitmap, [left, top, w, h], width, channels);
  return shortened(rows, width * channels, triangles(h, height));
}

// The weights of the inputs for each output, from `start` on.
function triangles(inputs, outputs) {
  const scale = inputs / outputs;
  const reach = Math.max(scale, 1);
  return Array.from({ length: outputs }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - reach + 0.5));
    const stop = Math.min(inputs, Math.floor(centre + reach + 0.5));
    const weights = Array.from({ length: stop - start }, (_, j) =>
      Math.max(0, 1 - Math.abs(start + j + 0.5 - centre) / reach));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((x) => x / sum) };
  });
}

function narrowed(bitmap, [left, top, w, h], width, channels) {
  const canvas = document.createElement("canvas");
  canvas.width = w;
  canvas.height = Math.min(h, ROWS);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const columns = triangles(w, width);
  const rows = [];
  for (let row = 0; row < h; row += ROWS) {
    const count = Math.min(ROWS, h - row);
    context.fillStyle = "white"; // Behind what is transparent.
    context.fillRect(0, 0, w, count);
    context.drawImage(bitmap, left, top + row, w, count, 0, 0, w, count);
    const { data } = context.getImageData(0, 0, w, count);
    for (let i = 0; i < count; i++) {
      const line = values(data.subarray(4 * w * i, 4 * w * (i + 1)), w, channels);
      rows.push(new Uint8Array(width * channels));
      columns.forEach(({ start, weights }, x) => {
        for (let c = 0; c < channels; c++) {
          let sum = 0.5;
          weights.forEach((weight, j) => {
            sum += weight * line[channels * (start + j) + c];
          });
          rows.at(-1)[channels * x + c] = sum;
        }
      });
    }
  }
  return rows;
}

function shortened(rows, size, lines) {
  const pixels = new Uint8Array(size * lines.length);
  lines.forEach(({ start, weights }, y) => {
    for (let x = 0; x < size; x++) {
      let sum = 0.5;
      weights.forEach((weight, j) => (sum += weight * rows[start + j][x]));
      pixels[size * y + x] = sum;
    }
  });
  return pixels;
}

// The bytes of a row, without transparency; as gray by ITU-R 601, if so.
function values(rgba, w, channels) {
  const line = new Uint8Array(w * channels);
  for (let i = 0; i < w; i++) {
    const [r, g, b] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
    if (channels === 3) line.set([r, g, b], 3 * i);
    else line[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
  }
  return line;
}
