// Files that are chosen or dropped, read within bounds.
import { MOST_BYTES } from "./elements.js";
import { sizeOf } from "./header.js";
import { fitted } from "./resize.js";

const MOST_PIXELS = 40_000_000;
const DAMAGED = "The file is damaged or not whole: it cannot be decoded.";

// Returns the pixels of a picture as a network of this shape takes them.
// Errors have a sentence for the reader.
export async function readPicture(file, shape) {
  if (file.size === 0) throw new Error("The file is empty.");
  if (file.size > MOST_BYTES) {
    throw new Error(
      `The file is too large: at most ${MOST_BYTES / 2 ** 20} MB are taken.`);
  }
  const size = headed(new Uint8Array(await file.arrayBuffer()));
  if (size === null) {
    throw new Error(
      "The file is no picture that can be read here: JPEG, PNG, GIF or BMP " +
      "is expected.");
  }
  const [width, height] = size;
  if (width < 1 || height < 1) throw new Error(DAMAGED);
  checkPixels(width, height);
  const bitmap = await decoded(file);
  try {
    // Frames of a GIF may be larger than its header says.
    checkPixels(bitmap.width, bitmap.height);
    return fitted(bitmap, shape);
  } finally {
    bitmap.close();
  }
}

function checkPixels(width, height) {
  if (width * height > MOST_PIXELS) {
    throw new Error(
      `The picture is too large: at most ${MOST_PIXELS / 10 ** 6} million ` +
      "pixels are taken.");
  }
}

function headed(bytes) {
  try {
    return sizeOf(bytes);
  } catch (error) {
    throw new Error(DAMAGED, { cause: error });
  }
}

async function decoded(file) {
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image", // As its EXIF data say.
      // Values as they are in the file, and not for this screen.
      colorSpaceConversion: "none",
      premultiplyAlpha: "default",
    });
  } catch (error) {
    throw new Error(DAMAGED, { cause: error });
  }
}
