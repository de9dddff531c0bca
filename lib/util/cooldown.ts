import { createBoundedMap } from './bounded-map.ts';

/** Pauses by key, each until a point in time. */
export interface Cooldown {
  /** 0 if the key is not in a pause. */
  remainingMs(key: string): number;
  /** Starts a pause, or extends it; never shortens one. */
  start(key: string, ms: number): void;
  delete(key: string): void;
}

export interface CooldownOptions {
  /** A monotonic clock. */
  readonly now: () => number;
  /** Longer pauses are cut to this. */
  readonly maxMs: number;
  readonly maxKeys: number;
}

export function createCooldown({ now, maxMs, maxKeys }: CooldownOptions): Cooldown {
  const endsAt = createBoundedMap<string, number>(maxKeys);

  function remainingMs(key: string): number {
    return Math.max(0, (endsAt.get(key) ?? 0) - now());
  }

  return {
    remainingMs,
    start: (key, ms) => endsAt.set(key, now() + Math.max(remainingMs(key), Math.min(ms, maxMs))),
    delete: (key) => endsAt.delete(key),
  };
}
