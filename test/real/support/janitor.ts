import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Cleans up after this process, by whatever death it dies: its children are ended, its temporary files removed. */
export interface Janitor {
  /** Everything below it is removed at the end. */
  readonly dir: string;
  readonly adopt: (pid: number) => void;
  /** The child has ended by itself: its pid may belong to somebody else from now on. */
  readonly release: (pid: number) => void;
}

/** Reads the pids of children until this process is gone (its end of the pipe is closed), even by SIGKILL. */
const script = `
dir=$1 pids=
while read -r verb pid; do
  case $verb in
    adopt) pids="$pids $pid" ;;
    release) kept=; for p in $pids; do [ "$p" = "$pid" ] || kept="$kept $p"; done; pids=$kept ;;
  esac
done
for p in $pids; do kill "$p" 2>/dev/null; done
tries=0
for p in $pids; do
  while kill -0 "$p" 2>/dev/null && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
  kill -9 "$p" 2>/dev/null
done
rm -rf -- "$dir"
`;

let janitor: Janitor | undefined;

/** One for each test process, engaged when it is first needed. */
export function theJanitor(): Janitor {
  janitor ??= engageJanitor();
  return janitor;
}

/** A new directory that lives as long as this process. */
export function createTempDir(name: string): string {
  return mkdtempSync(join(theJanitor().dir, `${name}-`));
}

function engageJanitor(): Janitor {
  const dir = mkdtempSync(join(tmpdir(), 'image-cloner-test-'));
  // Detached: the Ctrl-C that ends the tests must not end the janitor.
  const shell = spawn('/bin/sh', ['-c', script, 'janitor', dir], {
    detached: true,
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  const { stdin } = shell;
  if (stdin instanceof Socket) stdin.unref();
  return {
    dir,
    adopt: (pid) => void stdin.write(`adopt ${pid}\n`),
    release: (pid) => void stdin.write(`release ${pid}\n`),
  };
}
