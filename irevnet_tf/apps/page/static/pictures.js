// Pictures as the server sends them, and on canvases.

export function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function draw(canvas, pixels, [height, width, channels]) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = pixels[channels * i + (channels === 3 ? c : 0)];
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export function newPicture(label, pixels, shape) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  draw(canvas, pixels, shape);
  return canvas;
}

export function newFigure(label, caption, pixels, shape) {
  const figure = document.createElement("figure");
  const text = document.createElement("figcaption");
  text.textContent = caption;
  figure.append(newPicture(label, pixels, shape), text);
  return figure;
}

export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, x) => sum + x.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}
