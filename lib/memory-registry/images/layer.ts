import { createCipheriv, createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type Bytes, toDigest } from './digest.ts';

/** A tar+gzip layer of one file with the given number of incompressible bytes. */
export function toLayer(bytes: number, seed: string): Bytes {
  return gzipSync(createTar('data', createNoise(seed, bytes)), { level: 1 });
}

/** Digest of the uncompressed layer. */
export function toDiffId(layer: Bytes): string {
  const isGzip = layer[0] === 0x1f && layer[1] === 0x8b;
  return toDigest(isGzip ? gunzipSync(layer) : layer);
}

/** A tar archive (ustar) of one file, the smallest valid image layer. */
function createTar(name: string, content: Uint8Array): Bytes {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
  header.write(`${octal(content.length, 11)}\0${octal(0, 11)}\0`, 124);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Uint8Array.from(Buffer.concat([header, content, padding, Buffer.alloc(1024)]));
}

/** Incompressible bytes, deterministic by seed. */
function createNoise(seed: string, bytes: number): Bytes {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return Uint8Array.from(cipher.update(Buffer.alloc(bytes)));
}

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width, '0');
}
