/** What the gateway itself says, to hold a page against. */
import { expect, type APIRequestContext } from '@playwright/test';

export async function get<T>(request: APIRequestContext, path: string): Promise<T> {
  const answer = await request.get(path);
  expect(answer.ok(), path).toBeTruthy();
  return (await answer.json()) as T;
}

/** Stores one; what is not given is invented. */
export async function post<T>(request: APIRequestContext, path: string, given: Partial<T> = {}): Promise<T> {
  const answer = await request.post(path, { data: given });
  expect(answer.status(), await answer.text()).toBe(201);
  return (await answer.json()) as T;
}
