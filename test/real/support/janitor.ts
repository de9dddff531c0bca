import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Kills the children and removes the temporary files of this process after its end, even after SIGKILL. */
export interface Janitor {
  /** A directory to remove at the end. */
  readonly dir: string;
  readonly adopt: (pid: number) => void;
  /** Forgets a child that has ended, because its pid can be reused. */
  readonly release: (pid: number) => void;
}

/** Reads pids of children until this process closes its end of the pipe, which also happens at SIGKILL. */
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

/** One per test process, started at its first use. */
export function theJanitor(): Janitor {
  janitor ??= engageJanitor();
  return janitor;
}

/** Creates a directory that is removed after this process ends. */
export function createTempDir(name: string): string {
  return mkdtempSync(join(theJanitor().dir, `${name}-`));
}

function engageJanitor(): Janitor {
  const dir = mkdtempSync(join(tmpdir(), 'image-cloner-test-'));
  // Detached, so that Ctrl-C does not end the janitor with the tests.
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
