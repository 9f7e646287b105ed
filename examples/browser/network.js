// One network in ONNX Runtime Web: both directions, and what came back.
import * as ort from "./ort/ort.wasm.bundle.min.js";

// Several would need headers that plain file servers do not send.
ort.env.wasm.numThreads = 1;

const WHITE = 255;

async function file(path) {
  const answer = await fetch(new URL(path, import.meta.url));
  if (!answer.ok) throw new Error(`${path}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

export class Network {
  // `about` is an entry of networks.json.
  static async load(about) {
    const files = await Promise.all(["forward", "inverse"].map((name) =>
      file(`networks/${about.folder}/${name}.onnx`)));
    const network = new Network();
    network.about = about;
    // One after the other: the first one starts the runtime.
    network.forward = await session(files[0]);
    network.inverse = await session(files[1]);
    return network;
  }

  // Pixels from 0 to 255 as floats that the network does not have to round: it
  // computes with multiples of a power of two, of which white is 1.
  image(pixels) {
    const steps = 2 ** this.about.fraction_bits;
    return Float32Array.from(pixels, (x) =>
      (WHITE * Math.round((x / WHITE) * steps)) / steps);
  }

  async encode(image) {
    const images = new ort.Tensor("float32", image, [1, ...this.about.shape]);
    const { probabilities, features } = await this.forward.run({ images });
    return {
      probabilities: finite(probabilities.data),
      features: finite(features.data),
      shape: features.dims,
    };
  }

  async decode({ features, shape }) {
    const found = await this.inverse.run({
      features: new ort.Tensor("float32", features, shape),
    });
    return finite(found.images.data);
  }
}

const session = (bytes) =>
  ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });

function finite(values) {
  if (values.every(Number.isFinite)) return values;
  throw new Error(
    "The values leave the range in which this network is exact.");
}

// A place between two representations. The ends are exact.
export function mixed(first, second, share) {
  const features = first.features.map(
    (x, i) => (1 - share) * x + share * second.features[i]);
  return { features, shape: first.shape };
}

export function differingBits(first, second) {
  const [a, b] = [first, second].map((x) =>
    new Uint32Array(x.buffer, x.byteOffset, x.length));
  let count = 0;
  a.forEach((bits, i) => {
    for (let rest = bits ^ b[i]; rest; rest &= rest - 1) count++;
  });
  return count;
}

// The absolute difference of two images times the largest of 1, 2, 5, 10, 20,
// 50, ... by which it still fits, as irevnet_tf.pictures has it.
export function amplified(first, second) {
  const difference = first.map((x, i) => Math.abs(x - second[i]));
  const largest = difference.reduce((a, b) => Math.max(a, b), 0);
  let factor = 1;
  if (largest > 0) {
    for (const step of steps()) {
      if (step * largest > WHITE) break;
      factor = step;
    }
  }
  return { factor, pixels: shown(difference.map((x) => factor * x)) };
}

function* steps() {
  for (let power = 1; ; power *= 10) yield* [power, 2 * power, 5 * power];
}

export function shown(image) {
  return Uint8ClampedArray.from(image); // Which rounds, halves to even.
}
