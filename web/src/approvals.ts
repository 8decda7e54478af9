// The rows of approvals and what may be said to them.

import { rest } from './api';

export interface Approval {
  id: string;
  action: string;
  agent_id: string | null;
  task_id: string | number | null;
  user: string | null;
  details: unknown;
  status: 'pending' | 'approved' | 'denied' | 'expired';
  requested_at: string;
  expires_at: string | null;
  decided_at: string | null;
  decided_by: string | null;
  note: string | null;
}

export interface Approvals {
  approvals: Approval[];
  total: number;
}

export function countApprovals(): Promise<Approvals> {
  return rest('GET', 'approvals', { query: { status: 'pending', limit: 1 } });
}

export function listApprovals(status: string, limit: number): Promise<Approvals> {
  return rest('GET', 'approvals', { query: { status, limit } });
}

// A token says who decides; without one we do, so that the row is not without a name.
export function decide(id: string, verb: 'approve' | 'deny', note: string): Promise<Approval> {
  return rest('POST', `approvals/${encodeURIComponent(id)}/${verb}`, {
    body: { by: 'console', ...(note === '' ? {} : { note }) },
  });
}
