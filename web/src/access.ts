// What the visitor signed in with. It lives as long as the tab.

export interface Access {
  apiKey: string;
  token: string;
  tenant: string;
}

const KEPT = 'recado.access';
const NOBODY: Access = { apiKey: '', token: '', tenant: '' };

export function readAccess(): Access {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
    if (typeof kept !== 'object' || kept === null) return { ...NOBODY };
    const text = (name: keyof Access): string => {
      const value = (kept as Record<string, unknown>)[name];
      return typeof value === 'string' ? value : '';
    };
    return { apiKey: text('apiKey'), token: text('token'), tenant: text('tenant') };
  } catch {
    return { ...NOBODY };
  }
}

export function keepAccess(access: Access): void {
  sessionStorage.setItem(KEPT, JSON.stringify(access));
}

export function forgetAccess(): void {
  sessionStorage.removeItem(KEPT);
}

export function authHeaders(access: Access): Record<string, string> {
  if (access.apiKey) return { 'X-API-Key': access.apiKey };
  if (access.token) return { Authorization: `Bearer ${access.token}` };
  return {};
}
