// The size of a picture, from the first bytes of its file: a browser tells it
// after decoding only, when a small file may have filled the memory.

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GIF = [0x47, 0x49, 0x46, 0x38];
const BMP = [0x42, 0x4d];
const JPEG = [0xff, 0xd8, 0xff];
// Of BMP files, a header of OS/2 with sides of 16 bits.
const OLD_HEADER = 12;

// Returns [width, height], or null for a file of another kind. Throws a
// RangeError where the file ends too early.
export function sizeOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begins = (magic) => magic.every((x, i) => bytes[i] === x);
  if (begins(PNG)) return [view.getUint32(16), view.getUint32(20)];
  if (begins(GIF)) return [view.getUint16(6, true), view.getUint16(8, true)];
  if (begins(JPEG)) return jpegSize(view);
  if (!begins(BMP)) return null;
  if (view.getUint32(14, true) === OLD_HEADER) {
    return [view.getUint16(18, true), view.getUint16(20, true)];
  }
  // A negative height says that the rows go downwards.
  return [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
}

function jpegSize(view) {
  for (let place = 2; ; ) {
    const marker = view.getUint8(place + 1);
    if (view.getUint8(place) !== 0xff) throw new RangeError("no marker");
    if (marker === 0xff) {
      place++; // Before a marker there may be any number of these.
    } else if (isFrame(marker)) {
      return [view.getUint16(place + 7), view.getUint16(place + 5)];
    } else {
      place += 2 + view.getUint16(place + 2);
    }
  }
}

const TABLES = [0xc4, 0xc8, 0xcc];

const isFrame = (marker) =>
  marker >= 0xc0 && marker <= 0xcf && !TABLES.includes(marker);
