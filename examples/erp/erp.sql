-- The tables of erp.db, made by: sqlite3 erp.db < erp.sql
create table customers (number integer primary key, name text, mail text, phone text, city text, changed text);
create table orders (number integer primary key, customer integer, total numeric, due text, changed text);

insert into customers values
  (1001, 'Padaria Ipanema', 'compras@padariaipanema.example', '(21) 3555-0101', 'Rio de Janeiro', '2026-10-02T09:15:00Z'),
  (1002, 'Serra Azul Transportes', 'financeiro@serraazul.example', '(31) 3555-0102', 'Belo Horizonte', '2026-10-14T16:40:00Z'),
  (1003, 'Clínica Boa Vista', 'recepcao@boavista.example', '(81) 3555-0103', 'Recife', '2026-11-03T11:05:00Z'),
  (1004, 'Livraria do Porto', null, '(51) 3555-0104', 'Porto Alegre', '2026-11-20T08:30:00Z');

insert into orders values
  (5001, 1001, 1890.5, '2026-12-01', '2026-11-05T10:00:00Z'),
  (5002, 1002, 12400, '2026-12-15', '2026-11-06T10:00:00Z'),
  (5003, 1002, 799.9, '2027-01-10', '2026-11-12T10:00:00Z'),
  (5004, 1003, 5600, '2026-12-20', '2026-11-18T10:00:00Z'),
  (5005, 1004, 312.25, '2026-12-05', '2026-11-21T10:00:00Z');
