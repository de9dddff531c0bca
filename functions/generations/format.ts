/** As much of a digest as a person compares, and as `just rollback` takes. */
export function formatDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13);
}

/** `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  const mebibytes = bytes / 1024 / 1024;
  return `${mebibytes.toFixed(mebibytes < 10 ? 1 : 0)} MiB`;
}

/** `2026-11-25 03:34 UTC`. */
export function formatTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
