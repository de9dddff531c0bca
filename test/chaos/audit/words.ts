import { field, list, text } from '../answer.ts';
import type { Ledger } from '../ledger.ts';

const maxWarningLength = 120;

/** What a person's terminal gets to see: one clean line each. */
export function auditWords(body: string, ledger: Ledger): void {
  const response = field(JSON.parse(body), 'response');
  const message = text(field(field(response, 'status'), 'message'));
  const warnings = list(field(response, 'warnings')).map(text);
  for (const line of [message, ...warnings]) {
    ledger.check(
      'no terminal obeys what a registry says',
      !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line),
      () => JSON.stringify(line),
    );
  }
  for (const warning of warnings) {
    ledger.check(
      'a warning is one line of a terminal',
      warning.length <= maxWarningLength,
      () => warning,
    );
  }
}
