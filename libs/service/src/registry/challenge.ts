/** How a registry wants to be asked. Sources: RFC 9110 §11.6.1; CNCF distribution, "Token Authentication Specification". */
export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service: string | undefined };

/** A longer field is not read. */
const LONGEST = 4096;
const PARAMETER = /\s*([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/iy;

/** Reads a `WWW-Authenticate` field; undefined where it asks for neither a token nor a password. */
export function parseChallenge(field: string): Challenge | undefined {
  if (field.length > LONGEST) return undefined;
  const bearer = /(?:^|,)\s*Bearer\s+/i.exec(field);
  if (bearer !== null) {
    const parameters = parametersAt(field, bearer.index + bearer[0].length);
    const realm = parameters.get('realm');
    if (realm !== undefined) return { scheme: 'bearer', realm, service: parameters.get('service') };
  }
  return /(?:^|,)\s*Basic\b/i.test(field) ? { scheme: 'basic' } : undefined;
}

function parametersAt(field: string, start: number): Map<string, string> {
  const found = new Map<string, string>();
  PARAMETER.lastIndex = start;
  for (let match = PARAMETER.exec(field); match !== null; match = PARAMETER.exec(field)) {
    const [, name = '', quoted, plain = ''] = match;
    found.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain);
  }
  return found;
}
