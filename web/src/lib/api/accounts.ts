/**
 * The requests of the pages of identity, to a gateway or to head office. Those that every page makes are in
 * `session.svelte.ts`.
 */
import type { Grant } from '../grant';
import { get, post, request } from './http';
import type { ActiveSession, AuditPage, CreatedToken, Pairing, PairingStatus, Session, Token, User } from './identity';

const segment = encodeURIComponent;

export const accounts = {
  signIn: (name: string, password: string) => post<Session>('/api/session', { name, password }),
  setUp: (code: string, name: string, password: string) => post<Session>('/api/setup', { code, name, password }),
  changePassword: (current: string, password: string) => request('PUT', '/api/session/password', { current, password }),

  users: () => get<User[]>('/api/users'),
  addUser: (user: Grant & { name: string; password: string }) => post<User>('/api/users', user),
  changeUser: (name: string, changes: Partial<Grant> & { password?: string }) =>
    request('PATCH', `/api/users/${segment(name)}`, changes),
  removeUser: (name: string) => request('DELETE', `/api/users/${segment(name)}`),

  sessions: () => get<ActiveSession[]>('/api/sessions'),
  endSession: (id: string) => request('DELETE', `/api/sessions/${segment(id)}`),

  tokens: () => get<Token[]>('/api/tokens'),
  addToken: (token: Grant & { name: string }) => post<CreatedToken>('/api/tokens', token),
  removeToken: (id: string) => request('DELETE', `/api/tokens/${segment(id)}`),

  startPairing: () => post<Pairing>('/api/pairings', {}),
  pairingState: ({ id, secret }: Pairing) =>
    get<PairingStatus>(`/api/pairings/${segment(id)}?secret=${segment(secret)}`),
  approvePairing: (code: string) => request('POST', '/api/pairings/approve', { code }),

  audit: (cursor: string | null, limit: number) =>
    get<AuditPage>(`/api/audit?limit=${limit}${cursor === null ? '' : `&cursor=${segment(cursor)}`}`),
};
