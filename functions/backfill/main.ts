import { runCommand } from '../shared/run-command.ts';
import { backfill } from './command.ts';

await runCommand(backfill);
