/** A cyclic redundancy check of 32 bits, byte by byte: reflected `polynomial`, all ones before and after (ISO 3309). */
function checksum(polynomial: number): (bytes: Uint8Array) => number {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? polynomial : 0);
    return crc;
  });
  return (bytes) => {
    let crc = 0xffffffff;
    for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 255]!;
    return ~crc >>> 0;
  };
}

/** CRC-32 of ISO 3309, of PNG chunks and ZIP entries. */
export const crc32 = checksum(0xedb88320);

/** CRC-32C (Castagnoli), of TensorBoard's records. */
export const crc32c = checksum(0x82f63b78);
