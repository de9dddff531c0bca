import type { Socket } from 'node:net';

/** Passes bytes at a limited rate. */
export interface Rate {
  /** Reserves the time of a chunk that arrives now; returns the time in ms at which its last byte has passed. */
  readonly pass: (bytes: number, nowMs: number) => number;
}

/** Timers fire late. A sender that was late by less than this catches up; one that paused for longer does not. */
const catchUpMs = 10;
/** Timers count whole milliseconds. */
const slackMs = 0.5;

export function createRate(bytesPerSecond: number): Rate {
  let freeAtMs = 0;
  return {
    pass: (bytes, nowMs) => {
      const startsAtMs = nowMs - freeAtMs > catchUpMs ? nowMs : freeAtMs;
      freeAtMs = startsAtMs + (bytes / bytesPerSecond) * 1_000;
      return freeAtMs;
    },
  };
}

export interface LinkOptions {
  readonly from: Socket;
  readonly to: Socket;
  /** Time from one end to the other. */
  readonly delayMs: number;
  /** All of them limit the link. */
  readonly rates: readonly Rate[];
  /** No byte arrives before the connection is established. */
  readonly openAtMs: number;
  /** Called when a chunk leaves the sender. */
  readonly onSent: (chunk: Buffer) => void;
  /** Called when it reaches the receiver. */
  readonly onArrived: (chunk: Buffer) => void;
}

/**
 * Forwards one direction of a connection. It reads the next chunk when the last one has passed, so that connections share a rate
 * evenly, and what is underway is no more than a delay's worth of bytes.
 */
export function connectLink(options: LinkOptions): void {
  const { from, to, delayMs, rates, openAtMs, onSent, onArrived } = options;
  const underway: { readonly chunk: Buffer | undefined; readonly atMs: number }[] = [];
  let isWaiting = false;
  let isHeld = false;
  let passedAtMs = 0;

  /** Delivers what has arrived, and then waits for the next chunk or for a slow receiver. */
  function deliver(): void {
    isWaiting = false;
    for (let next = underway[0]; next !== undefined; next = underway[0]) {
      if (to.destroyed) return;
      const leftMs = next.atMs - performance.now();
      if (to.writableNeedDrain || leftMs > slackMs) {
        isWaiting = true;
        if (to.writableNeedDrain) to.once('drain', deliver);
        else setTimeout(deliver, Math.round(leftMs));
        return;
      }
      underway.shift();
      if (next.chunk === undefined) {
        to.end();
      } else {
        onArrived(next.chunk);
        to.write(next.chunk);
      }
    }
    readWhenPassed();
  }

  /** A timer can fire early, because it counts from the start of its turn of the event loop. */
  function readWhenPassed(): void {
    if (isHeld) return;
    const leftMs = passedAtMs - performance.now();
    if (leftMs <= slackMs) {
      if (!to.writableNeedDrain) from.resume();
      return;
    }
    isHeld = true;
    from.pause();
    setTimeout(() => {
      isHeld = false;
      readWhenPassed();
    }, Math.round(leftMs));
  }

  function send(chunk: Buffer | undefined): void {
    underway.push({ chunk, atMs: Math.max(passedAtMs, openAtMs) + delayMs });
    if (!isWaiting) deliver();
  }

  from.on('data', (chunk: Buffer) => {
    const nowMs = performance.now();
    passedAtMs = Math.max(...rates.map((rate) => rate.pass(chunk.length, nowMs)));
    onSent(chunk);
    readWhenPassed();
    send(chunk);
  });
  from.on('end', () => send(undefined));
  // 'close' follows.
  from.on('error', () => undefined);
  from.on('close', () => {
    if (from.errored !== null || !from.readableEnded) to.destroy();
  });
}
