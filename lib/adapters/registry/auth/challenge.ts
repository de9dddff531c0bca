/** One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1): scheme in lower case, parameter names too. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const token = String.raw`[!#$%&'*+\-.^_\`|~0-9A-Za-z]+`;
const parameter = new RegExp(`^(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`);
/** Some schemes have a token68 instead of parameters: `Negotiate oYG1MIGy==`. */
const scheme = new RegExp(`^(${token})(?=\\s|,|$)(?:\\s+[\\w.~+/-]+=*(?=\\s*(?:,|$)))?`);
const maxHeaderLength = 8192;

/** Reads all challenges of all headers; commas separate challenges as well as their parameters. */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader);
}

/** The scopes that the first Bearer challenge asks for. */
export function scopesOf(headers: readonly string[]): readonly string[] {
  const bearer = parseChallenges(headers).find(({ scheme }) => scheme === 'bearer');
  const scope = bearer?.parameters.get('scope') ?? '';
  return scope.split(/\s+/).filter((one) => one !== '');
}

function parseHeader(header: string): readonly Challenge[] {
  const challenges: { readonly scheme: string; readonly parameters: Map<string, string> }[] = [];
  let rest = skipSeparators(header.slice(0, maxHeaderLength));
  while (rest !== '') {
    const match = parameter.exec(rest);
    const current = challenges.at(-1);
    if (match !== null && current !== undefined) {
      const [text, name = '', quoted, plain = ''] = match;
      const value = quoted === undefined ? plain : quoted.replaceAll(/\\(.)/g, '$1');
      current.parameters.set(name.toLowerCase(), value);
      rest = skipSeparators(rest.slice(text.length));
      continue;
    }
    const named = scheme.exec(rest);
    // A syntax error ends the header; the challenges before it count.
    if (named === null) return challenges;
    const [text, name = ''] = named;
    challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    rest = skipSeparators(rest.slice(text.length));
  }
  return challenges;
}

function skipSeparators(text: string): string {
  return text.replace(/^[\s,]+/, '');
}
