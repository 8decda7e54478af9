// What the address says after the hash: "#/runs/7?status=failed" is a page, a name and a query.

export interface Route {
  page: string;
  name: string;
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
  const [page = '', ...rest] = path.split('/');
  return { page, name: decode(rest.join('/')), query: new URLSearchParams(query) };
}

// A name that was cut or typed by hand may be no proper encoding.
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function routeTo(page: string, name = '', query: Record<string, string> = {}): string {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  const path = name === '' ? page : `${page}/${encodeURIComponent(name)}`;
  const text = asked.toString();
  return `#/${path}${text === '' ? '' : `?${text}`}`;
}

// Keeps what is asked for in the address without going anywhere.
export function keepRoute(route: string): void {
  history.replaceState(null, '', route);
}
