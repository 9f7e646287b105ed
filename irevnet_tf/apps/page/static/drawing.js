// A pad on which one draws, white on black, in the pixels of the network.

export class Pad {
  constructor(canvas, state) {
    this.canvas = canvas;
    this.state = state;
    this.down = false;
    this.last = null;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => (this.last = null));
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["focus", "blur"]) {
      canvas.addEventListener(name, () => this.#show());
    }
    this.reset([8, 8, 1]);
  }

  reset([height, width]) {
    [this.height, this.width] = [height, width];
    this.ink = new Float32Array(height * width);
    this.pen = [width / 2, height / 2];
    this.down = false;
    this.#show();
  }

  pixels(channels) {
    const found = new Uint8Array(this.ink.length * channels);
    this.ink.forEach((ink, i) =>
      found.fill(Math.round(255 * ink), i * channels, (i + 1) * channels));
    return found;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.width,
      ((event.clientY - box.top) / box.height) * this.height,
    ];
  }

  #begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.#place(event);
    this.#dot(this.last);
    this.#show();
  }

  #move(event) {
    if (this.last === null) return;
    const next = this.#place(event);
    const [x, y] = this.last;
    const steps = Math.ceil(4 * Math.hypot(next[0] - x, next[1] - y)) || 1;
    for (let i = 1; i <= steps; i++) {
      const part = i / steps;
      this.#dot([x + part * (next[0] - x), y + part * (next[1] - y)]);
    }
    this.last = next;
    this.#show();
  }

  #key(event) {
    const moves = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
    };
    if (event.key === " ") {
      this.down = !this.down;
      this.state.textContent = this.down ? "The pen is down." : "The pen is up.";
    } else if (event.key in moves) {
      const [x, y] = moves[event.key];
      this.pen = [
        Math.min(Math.max(this.pen[0] + x, 0.5), this.width - 0.5),
        Math.min(Math.max(this.pen[1] + y, 0.5), this.height - 0.5),
      ];
    } else {
      return;
    }
    event.preventDefault();
    if (this.down) this.#dot(this.pen);
    this.#show();
  }

  #dot([x, y]) {
    // As wide as the strokes of handwritten digits.
    const radius = Math.max(0.45, this.width / 24);
    for (let row = 0; row < this.height; row++) {
      for (let column = 0; column < this.width; column++) {
        const far = Math.hypot(column + 0.5 - x, row + 0.5 - y) - radius;
        const ink = Math.min(1, Math.max(0, 1 - far));
        const place = row * this.width + column;
        this.ink[place] = Math.max(this.ink[place], ink);
      }
    }
  }

  #show() {
    const size = Math.max(1, Math.floor(224 / this.width));
    this.canvas.width = size * this.width;
    this.canvas.height = size * this.height;
    const context = this.canvas.getContext("2d");
    this.ink.forEach((ink, i) => {
      const shade = Math.round(255 * ink);
      context.fillStyle = `rgb(${shade} ${shade} ${shade})`;
      const column = i % this.width;
      const row = Math.floor(i / this.width);
      context.fillRect(size * column, size * row, size, size);
    });
    if (document.activeElement === this.canvas) {
      context.strokeStyle = this.down ? "#ff5a3c" : "#4aa8ff";
      context.lineWidth = 2;
      const [x, y] = this.pen.map((v) => size * Math.floor(v));
      context.strokeRect(x + 1, y + 1, size - 2, size - 2);
    }
  }
}
