-- Who may do what with a usage ledger in PostgreSQL: students their own rows, teachers all of them.
--
-- 1. Make the tables, as the role that shall own them. No other role needs the right to make or change any:
--
--        MIXROUTE_LEDGER_URL=postgresql://ledger_owner@db.example.org/usage python -m mixroute_magic.usage
--
-- 2. Run this script, as the same role. It needs CREATEROLE for the two groups, unless they are there already:
--
--        psql -1 -v ON_ERROR_STOP=1 -f ledger-roles.sql postgresql://ledger_owner@db.example.org/usage
--
-- 3. Give every person a login, with just the name that JupyterHub has for them:
--
--        CREATE ROLE "ada"   LOGIN PASSWORD '…' CONNECTION LIMIT 20 IN ROLE mixroute_student;
--        CREATE ROLE "grace" LOGIN PASSWORD '…' IN ROLE mixroute_teacher;
--
-- After an update of mixroute-magic, 1 and then 2 again: both can be repeated.

DO $$
BEGIN
  IF to_regrole('mixroute_student') IS NULL THEN CREATE ROLE mixroute_student NOLOGIN; END IF;
  IF to_regrole('mixroute_teacher') IS NULL THEN CREATE ROLE mixroute_teacher NOLOGIN; END IF;
END $$;

REVOKE ALL ON requests, mixroute_schema FROM PUBLIC, mixroute_student, mixroute_teacher;
REVOKE CREATE ON SCHEMA public FROM PUBLIC; -- as it is anyway in a database that began with PostgreSQL 15 or newer

-- Nobody but the owner may delete a row, and nobody may empty or change the tables.
GRANT SELECT ON mixroute_schema TO mixroute_student, mixroute_teacher;
GRANT SELECT, INSERT, UPDATE ON requests TO mixroute_student, mixroute_teacher;

ALTER TABLE requests ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS own_rows ON requests;
DROP POLICY IF EXISTS all_rows ON requests;
DROP POLICY IF EXISTS add_own ON requests;
DROP POLICY IF EXISTS finish_own ON requests;

-- A row says who asked in its column "user". The server compares that with the login, so it cannot be another's.
CREATE POLICY own_rows ON requests FOR SELECT TO mixroute_student
  USING ("user" = current_user::text);

CREATE POLICY all_rows ON requests FOR SELECT TO mixroute_teacher
  USING (true);

CREATE POLICY add_own ON requests FOR INSERT TO mixroute_student, mixroute_teacher
  WITH CHECK ("user" = current_user::text);

-- A request that has ended stays as it is.
CREATE POLICY finish_own ON requests FOR UPDATE TO mixroute_student, mixroute_teacher
  USING ("user" = current_user::text AND status = 'unfinished')
  WITH CHECK ("user" = current_user::text);
