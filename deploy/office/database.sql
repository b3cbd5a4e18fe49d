-- Runs once, when PostgreSQL's container in docker-compose.yml makes its cluster: the office's user owns its database, and is
-- no superuser.
\getenv password POSTGRES_PASSWORD
CREATE ROLE office LOGIN PASSWORD :'password';
CREATE DATABASE comptoir OWNER office ENCODING 'UTF8' TEMPLATE template0;
-- Only the office connects to it, and the superuser has no access over the network any more.
REVOKE CONNECT ON DATABASE comptoir FROM PUBLIC;
ALTER ROLE postgres PASSWORD NULL;
