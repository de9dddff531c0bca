import { pino } from 'pino';
import * as v from 'valibot';
import type { Logger } from '../ports/index.ts';

export interface LogOptions {
  readonly level: string;
  readonly format: 'json' | 'pretty';
  readonly write: (line: string) => void;
}

/** Logs with pino, one line per message; writes synchronously because pino's worker threads do not survive a bundle. */
export function createLogger({ level, format, write }: LogOptions): Logger {
  return pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      serializers: { err: serializeError },
    },
    { write: (line) => write(escapeControls(format === 'json' ? line : toPretty(line))) },
  );
}

const maxTextLength = 4096;

const lineSchema = v.record(v.string(), v.unknown());

/** JSON escapes only ASCII control characters; terminals also interpret others, and registries choose the text. */
function escapeControls(line: string): string {
  return line.replaceAll(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Omits other fields: libraries attach request headers, and so credentials, to their errors. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error).slice(0, maxTextLength);
  const { name, message, stack = '', cause } = error;
  return {
    type: name,
    message: message.slice(0, maxTextLength),
    ...('code' in error && typeof error.code === 'string' && { code: error.code }),
    ...(!isExpected(error) && { stack: stack.slice(0, maxTextLength) }),
    ...(cause !== undefined && { cause: serializeError(cause) }),
  };
}

/** A failure of a registry, the network or the system: where it was noticed says nothing about its cause. */
function isExpected(error: Error): boolean {
  return 'code' in error || error.name === 'RegistryError';
}

/** `12:00:01 info  review answered uid=… verdict=patched` */
function toPretty(line: string): string {
  const { time, level, msg, ...fields } = v.parse(lineSchema, JSON.parse(line));
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${toText(value)}`);
  const clock = String(time).slice(11, 19);
  return `${[clock, String(level).padEnd(5), String(msg), ...rest].join(' ')}\n`;
}

function toText(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value);
}
