// Stands in for the app's Supabase client: it is always signed in as the local run's user.
export const supabase = {
  auth: { getSession: async () => ({ data: { session: { access_token: import.meta.env.VITE_TOKEN as string } } }) },
};
