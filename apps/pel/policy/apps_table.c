/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/apps_table.h"

#include <strings.h>

#define TLS       APP_PORT_TLS
#define OWN       APP_PORT_OWN
#define CUSTOMARY APP_PORT_CUSTOMARY
#define ASKS      APP_ASKS
#define SECONDARY APP_SECONDARY
#define MUTUAL    APP_MUTUAL
#define CLIENT    APP_CLIENT_ONLY
#define PUBLIC    APP_PUBLIC

/* Sentences that fit several rows. */
#define BOTH_ENDS  "Both ends need a rule: one for server and one for client, on each node."
#define FIRST_BYTE "Clients must be set to TLS from the first byte."
#define PROGRAM_ASKS                                                                                         \
    "The program asks for TLS when its peer wants it; a program that does TLS by itself needs no rule."

static const struct app apps[] = {
    /* What z/OS has. */
    {"ftp", "FTP, control connection", "21", OWN, ASKS | SECONDARY, "Silver",
     "FTP logins and commands, with AUTH TLS", PROGRAM_ASKS},
    {"ftps", "FTP over implicit TLS", "990", TLS, 0, "Silver", "FTP control connections that begin with TLS",
     "Clients use ftps:// with implicit TLS; data connections need a rule for the ports that the server "
     "hands "
     "out."},
    {"ftps-data", "FTP over implicit TLS, data", "989", TLS, 0, "Silver",
     "data connections of an FTP server with a fixed data port",
     "Clients use PROT P; set the server's passive port range to this port, or give --port that range."},
    {"tn3270", "TN3270 and TN3270E", "992", TLS, 0, "Silver", "3270 terminals and printers over Telnet",
     "Emulators are set to TLS (not \"negotiated\") and port 992."},
    {"telnet", "Telnet over TLS", "992", TLS, 0, "Silver", "terminal sessions",
     "Clients use telnets: TLS from the first byte, no START_TLS option."},
    {"cssmtp", "CSSMTP, the mail client of z/OS", "25", OWN, ASKS | CLIENT | PUBLIC, "Silver",
     "mail from JES spool to a mail server, with STARTTLS", "The mail server must offer STARTTLS."},
    {"smtp", "SMTP with STARTTLS", "25", OWN, ASKS | PUBLIC, "Silver", "mail between servers", PROGRAM_ASKS},
    {"submission", "Mail submission with STARTTLS", "587", OWN, ASKS | PUBLIC, "Silver",
     "mail from users' programs", PROGRAM_ASKS},
    {"submissions", "Mail submission over TLS", "465", TLS, PUBLIC, "Gold", "mail from users' programs",
     "Mail programs are set to \"SSL/TLS\", not to STARTTLS (RFC 8314)."},
    {"ldap", "LDAP over TLS", "636", TLS, 0, "Gold", "directory queries",
     "Clients use ldaps://, not StartTLS."},
    {"ldap-gc", "Global catalog over TLS", "3269", TLS, 0, "Gold", "queries of a directory's global catalog",
     "Clients use ldaps:// with port 3269."},
    {"cics", "CICS TCPIPSERVICE", "1435", OWN, 0, "Silver", "requests to CICS regions",
     "The port is what the TCPIPSERVICE says (--port); " FIRST_BYTE},
    {"db2", "Db2, DRDA", "448", TLS, 0, "Gold", "distributed SQL between Db2 and its clients",
     "JDBC clients set sslConnection=true and the secure port; the command line processor SECURITY SSL."},
    {"mq", "IBM MQ channels", "1414", OWN, 0, "Gold", "messages between queue managers and clients",
     "Channels at the other end name an SSLCIPH of the list; here they name none, TLS is not their matter."},
    {"ims-connect", "IMS Connect", "9999", CUSTOMARY, 0, "Silver", "transactions for IMS",
     "The port is IMS Connect's PORTID (--port); " FIRST_BYTE},
    {"jes-nje", "JES NJE over TCP/IP", "2252", TLS, MUTUAL, "Gold", "jobs and output between JES nodes",
     BOTH_ENDS},
    {"rrsf", "RACF remote sharing (RRSF)", "18136", OWN, MUTUAL, "Gold",
     "security database updates between RACF nodes", BOTH_ENDS},
    {"policy-server", "Policy server of Policy Agent", "16310", CUSTOMARY, 0, "Gold",
     "policies for policy clients", "Policy clients configure TLS on their ServerConnection statement."},
    {"policy-agent", "Policy Agent, import services", "16311", CUSTOMARY, 0, "Gold",
     "imports by the Configuration Assistant",
     "Policy Agent has Security Secure on its ServicesConnection; requestors use TLS."},
    {"nss", "Network security services (NSS)", "4159", OWN, 0, "Gold",
     "certificate services for IKE and XML appliances", "NSS clients are set to a secure connection."},
    {"ike-nss", "IKE daemon as NSS client", "4159", OWN, CLIENT, "Gold",
     "the IKE daemon's requests to its NSS server", "The NSS server needs its own rule (app nss)."},
    {"dcas", "Digital certificate access server", "8990", CUSTOMARY, MUTUAL, "Gold",
     "passtickets for certificates", "Clients must have a certificate that the server knows."},
    {"sasp", "Load balancing advisor (SASP)", "3860", OWN, MUTUAL, "Gold", "weights for load balancers",
     "Load balancers are set to SASP over TLS, with a certificate."},
    {"rexec", "Remote execution", "512", OWN, SECONDARY, "Silver", "commands for rexecd",
     "Clients need TLS beneath rexec: a client rule at their end. " FIRST_BYTE},
    {"rsh", "Remote shell", "514", OWN, SECONDARY, "Silver", "commands for rshd",
     "Clients need TLS beneath rsh: a client rule at their end. " FIRST_BYTE},
    {"zosmf", "z/OSMF REST services", "443", TLS, 0, "Gold", "z/OS management over HTTPS",
     "Clients use https://; some installations have z/OSMF on 10443 (--port)."},
    {"zowe", "Zowe API gateway", "7554", CUSTOMARY, 0, "Gold", "Zowe's API mediation layer",
     "Clients use https:// with port 7554."},
    {"connect-direct", "Connect:Direct", "1364", OWN, 0, "Gold", "file transfers between nodes",
     BOTH_ENDS " The nodes' own Secure Plus stays off."},
    {"wbem", "CIM server (WBEM)", "5989", TLS, 0, "Gold", "management by CIM over HTTPS",
     "Clients use https:// with port 5989."},

    /* The web. */
    {"https", "HTTP", "443", TLS, PUBLIC, "Gold", "web servers and web clients that speak plain HTTP",
     "Clients use https://."},
    {"https-alt", "HTTP on the alternative port", "8443", CUSTOMARY, PUBLIC, "Gold",
     "web servers beside the main one", "Clients use https:// with port 8443."},
    {"grpc", "gRPC", "50051", CUSTOMARY, 0, "Gold", "remote procedure calls over HTTP/2",
     "Clients use TLS channel credentials; one that insists on ALPN needs a client rule instead."},
    {"dns", "DNS over TLS", "853", TLS, PUBLIC, "Gold", "name queries over TCP",
     "Resolvers are set to DNS over TLS (RFC 7858)."},
    {"git", "Git daemon", "9418", OWN, 0, "Gold", "clones and fetches by git://",
     "Clients need TLS beneath git://: a client rule at their end."},
    {"rsync", "rsync daemon", "874", CUSTOMARY, 0, "Gold", "file transfers by rsync://",
     "Clients use rsync-ssl, or a client rule."},
    {"docker", "Docker Engine API", "2376", TLS, MUTUAL, "Gold", "containers of a host",
     "Clients use --tlsverify and DOCKER_HOST=tcp://HOST:2376, with a certificate."},
    {"kubernetes", "Kubernetes API server", "6443", CUSTOMARY, 0, "Gold", "clients of a cluster's API",
     "kubectl and controllers use https://."},

    /* Mail, news, talk. */
    {"imap", "IMAP over TLS", "993", TLS, PUBLIC, "Gold", "mailboxes",
     "Mail programs are set to \"SSL/TLS\", not to STARTTLS (RFC 8314)."},
    {"pop3", "POP3 over TLS", "995", TLS, PUBLIC, "Gold", "mailboxes",
     "Mail programs are set to \"SSL/TLS\", not to STARTTLS (RFC 8314)."},
    {"sieve", "ManageSieve", "4190", OWN, ASKS | PUBLIC, "Gold", "mail filter scripts", PROGRAM_ASKS},
    {"nntp", "NNTP over TLS", "563", TLS, PUBLIC, "Gold", "news", "News programs use nntps."},
    {"xmpp-client", "XMPP, clients, direct TLS", "5223", CUSTOMARY, PUBLIC, "Gold", "chat clients",
     "Clients use direct TLS, as the DNS record _xmpps-client says (XEP-0368), not STARTTLS."},
    {"xmpp-server", "XMPP, servers, direct TLS", "5270", CUSTOMARY, PUBLIC, "Gold", "chat between servers",
     "Servers use direct TLS, as the DNS record _xmpps-server says (XEP-0368), not STARTTLS."},
    {"irc", "IRC over TLS", "6697", TLS, PUBLIC, "Gold", "chat", "Clients use ircs:// (RFC 7194)."},
    {"sip", "SIP over TLS", "5061", TLS, 0, "Gold", "call signalling over TCP",
     "Telephones and proxies use sips: or transport TLS."},
    {"turn", "STUN and TURN over TLS", "5349", TLS, PUBLIC, "Gold", "relays for calls over TCP",
     "Clients use turns: with transport=tcp."},
    {"rtsp", "RTSP over TLS", "322", TLS, 0, "Gold", "media control", "Clients use rtsps://."},

    /* Databases and caches. */
    {"postgresql", "PostgreSQL", "5432", OWN, 0, "Gold", "SQL and replication",
     "PostgreSQL's own library must use sslnegotiation=direct (17 and later), or its program a client rule."},
    {"mysql", "MySQL", "3306", OWN, 0, "Gold", "SQL and replication",
     "MySQL's own clients begin TLS inside the protocol and cannot connect: give their programs a client "
     "rule, and --ssl-mode=DISABLED."},
    {"mariadb", "MariaDB", "3306", OWN, 0, "Gold", "SQL and replication",
     "MariaDB's own clients begin TLS inside the protocol and cannot connect: give their programs a client "
     "rule, and --skip-ssl."},
    {"mssql", "Microsoft SQL Server", "1433", OWN, 0, "Gold", "SQL (TDS)",
     "Clients use Encrypt=Strict (TDS 8.0), or a client rule and Encrypt=no; others begin TLS inside the "
     "protocol."},
    {"oracle", "Oracle Database, TCPS", "2484", TLS, 0, "Gold", "SQL (Oracle Net)",
     "Clients use PROTOCOL=tcps."},
    {"redis", "Redis and Valkey", "6379", OWN, 0, "Gold", "keys, values and replication",
     "Clients use rediss:// or --tls."},
    {"memcached", "memcached", "11211", OWN, 0, "Gold", "cached values",
     "Clients are set to TLS, or their programs get a client rule."},
    {"mongodb", "MongoDB", "27017", OWN, 0, "Gold", "documents", "Clients use tls=true."},
    {"cassandra", "Cassandra and ScyllaDB, clients", "9142", CUSTOMARY, 0, "Gold", "CQL",
     "Drivers are set to TLS; cqlsh uses --ssl."},
    {"cassandra-node", "Cassandra, between nodes", "7001", CUSTOMARY, MUTUAL, "Gold",
     "gossip and data between nodes", BOTH_ENDS},
    {"couchdb", "CouchDB", "6984", CUSTOMARY, 0, "Gold", "documents over HTTP", "Clients use https://."},
    {"clickhouse", "ClickHouse, native", "9440", CUSTOMARY, 0, "Gold", "SQL", "Clients use --secure."},
    {"cockroachdb", "CockroachDB", "26257", CUSTOMARY, 0, "Gold", "SQL and traffic between nodes",
     "PostgreSQL's library must use sslnegotiation=direct (17 and later), or its program a client rule."},
    {"neo4j", "Neo4j, Bolt", "7687", OWN, 0, "Gold", "graph queries", "Clients use bolt+s:// or neo4j+s://."},
    {"influxdb", "InfluxDB", "8086", CUSTOMARY, 0, "Gold", "time series over HTTP", "Clients use https://."},
    {"elasticsearch", "Elasticsearch and OpenSearch", "9200", CUSTOMARY, 0, "Gold", "searches over HTTP",
     "Clients use https://."},
    {"elasticsearch-node", "Elasticsearch, between nodes", "9300", CUSTOMARY, MUTUAL, "Gold",
     "cluster traffic", BOTH_ENDS},
    {"solr", "Solr", "8983", CUSTOMARY, 0, "Gold", "searches over HTTP", "Clients use https://."},
    {"hazelcast", "Hazelcast", "5701", CUSTOMARY, MUTUAL, "Gold", "members and clients of a data grid",
     BOTH_ENDS},
    {"minio", "MinIO and other S3 stores", "9000", CUSTOMARY, 0, "Gold", "objects over HTTP",
     "Clients use https://."},

    /* Messages and coordination. */
    {"kafka", "Kafka", "9093", CUSTOMARY, 0, "Gold", "records between brokers and clients",
     "Clients use security.protocol=SSL (or SASL_SSL) and the advertised listener with this port."},
    {"amqp", "AMQP over TLS", "5671", TLS, 0, "Gold", "messages", "Clients use amqps://."},
    {"rabbitmq", "RabbitMQ, AMQP and management", "5671 15671", CUSTOMARY, 0, "Gold",
     "messages and the management page", "Clients use amqps:// and https://."},
    {"activemq", "ActiveMQ, OpenWire", "61617", CUSTOMARY, 0, "Gold", "messages", "Clients use ssl://."},
    {"stomp", "STOMP over TLS", "61614", CUSTOMARY, 0, "Gold", "messages", "Clients use stomp+ssl://."},
    {"mqtt", "MQTT over TLS", "8883", TLS, 0, "Gold", "messages of devices", "Clients use mqtts://."},
    {"nats", "NATS", "4222", CUSTOMARY, 0, "Gold", "messages",
     "NATS's own clients begin TLS after a greeting in clear: give their programs a client rule."},
    {"pulsar", "Pulsar", "6651", CUSTOMARY, 0, "Gold", "messages", "Clients use pulsar+ssl://."},
    {"etcd", "etcd, clients", "2379", OWN, MUTUAL, "Gold", "keys and values",
     "Clients use https:// and a certificate; one that insists on ALPN needs a client rule instead."},
    {"etcd-peer", "etcd, between members", "2380", OWN, MUTUAL, "Gold", "the cluster's log", BOTH_ENDS},
    {"zookeeper", "ZooKeeper, clients", "2281", CUSTOMARY, 0, "Gold", "coordination",
     "Clients set zookeeper.client.secure=true and the secure client port."},
    {"zookeeper-quorum", "ZooKeeper, between servers", "2888 3888", CUSTOMARY, MUTUAL, "Gold",
     "followers and elections", BOTH_ENDS},
    {"consul", "Consul HTTP API", "8501", CUSTOMARY, 0, "Gold", "service discovery", "Clients use https://."},
    {"consul-rpc", "Consul, server RPC", "8300", CUSTOMARY, MUTUAL, "Gold",
     "traffic between agents and servers", BOTH_ENDS " Consul's own TLS settings stay off."},
    {"vault", "Vault", "8200", CUSTOMARY, 0, "Gold", "secrets over HTTP", "Clients use https://."},
    {"nomad", "Nomad HTTP API", "4646", CUSTOMARY, 0, "Gold", "jobs of a cluster", "Clients use https://."},

    /* Operation. */
    {"syslog", "Syslog over TLS", "6514", TLS, 0, "Gold", "log messages over TCP (RFC 5425)",
     "Senders use TLS transport, octet-counted."},
    {"prometheus", "Prometheus", "9090", CUSTOMARY, 0, "Gold", "queries of metrics", "Clients use https://."},
    {"node-exporter", "Prometheus node exporter", "9100", CUSTOMARY, 0, "Gold", "scrapes of a host's metrics",
     "Prometheus uses scheme: https."},
    {"alertmanager", "Prometheus Alertmanager", "9093", CUSTOMARY, 0, "Gold", "alerts",
     "Prometheus uses scheme: https."},
    {"pushgateway", "Prometheus Pushgateway", "9091", CUSTOMARY, 0, "Gold", "metrics of short jobs",
     "Jobs push to https://."},
    {"grafana", "Grafana", "3000", CUSTOMARY, 0, "Gold", "dashboards", "Browsers use https://."},
    {"loki", "Loki", "3100", CUSTOMARY, 0, "Gold", "logs over HTTP", "Senders use https://."},
    {"kibana", "Kibana", "5601", CUSTOMARY, 0, "Gold", "dashboards", "Browsers use https://."},
    {"beats", "Logstash, Beats input", "5044", CUSTOMARY, 0, "Gold", "log shippers",
     "Beats set ssl.enabled: true for the output."},
    {"fluentd", "Fluentd and Fluent Bit, forward", "24224", CUSTOMARY, 0, "Gold", "log shippers",
     "Senders use transport tls."},
    {"graphite", "Graphite, plain text", "2003", CUSTOMARY, 0, "Gold", "metrics",
     "Senders need TLS beneath: a client rule at their end."},
    {"otlp", "OpenTelemetry collector", "4317-4318", CUSTOMARY, 0, "Gold", "traces, metrics and logs",
     "Exporters use https:// endpoints; one that insists on ALPN needs a client rule instead."},
    {"zabbix-agent", "Zabbix agent", "10050", OWN, 0, "Gold", "checks of a host",
     "The Zabbix server connects with certificates, or without encryption through a client rule."},
    {"zabbix-server", "Zabbix server (trapper)", "10051", OWN, 0, "Gold", "values from agents and proxies",
     "Agents use TLSConnect=cert, or TLSConnect=unencrypted through a client rule."},
    {"nrpe", "Nagios remote plugin executor", "5666", OWN, 0, "Gold", "checks of a host",
     "check_nrpe uses TLS unless -n is given."},
    {"splunk", "Splunk, forwarders", "9997", CUSTOMARY, 0, "Gold", "log shippers",
     "Forwarders set useSSL = true."},
    {"puppet", "Puppet", "8140", OWN, MUTUAL, "Gold", "agents of a configuration server",
     "Agents have certificates of the server's authority."},
    {"snmp", "SNMP over TLS", "10161", TLS, MUTUAL, "Gold", "management over TCP (RFC 6353)",
     "Managers use the TLS transport model and a certificate."},
    {"netconf", "NETCONF over TLS", "6513", TLS, MUTUAL, "Gold", "configuration of devices (RFC 7589)",
     "Clients have a certificate."},
    {"openflow", "OpenFlow", "6653", OWN, MUTUAL, "Gold", "switches and their controller",
     "Switches are set to ssl: targets, with a certificate."},
    {"radius", "RADIUS over TLS (RadSec)", "2083", TLS, MUTUAL, "Gold", "authentication (RFC 6614)",
     "Clients have a certificate."},
    {"diameter", "Diameter over TLS", "5868", TLS, MUTUAL, "Gold", "authentication and charging (RFC 6733)",
     "Peers use TLS from the first byte, and a certificate."},
    {"rpki", "RPKI to router", "324", TLS, 0, "Gold", "route origins for routers (RFC 8210)",
     "Routers are set to the TLS transport."},
    {"ipp", "Printing (IPP over HTTPS)", "631", OWN, 0, "Gold", "print jobs", "Clients use ipps://."},

    /* Industry and health. */
    {"opcua", "OPC UA over TLS", "4843", TLS, 0, "Gold", "automation",
     "Clients use opc.tls or https endpoints."},
    {"modbus", "Modbus/TCP Security", "802", TLS, MUTUAL, "Gold", "controllers",
     "Clients have a certificate with a role."},
    {"iec104", "IEC 60870-5-104 over TLS", "19998", TLS, MUTUAL, "Gold", "control of grids",
     "Stations use IEC 62351-3 and a certificate."},
    {"dicom", "DICOM over TLS", "2762", TLS, MUTUAL, "Gold", "medical images",
     "Peers use the BCP 195 TLS profile and a certificate."},
    {"hl7", "HL7 MLLP", "2575", OWN, MUTUAL, "Gold", "medical messages",
     "Senders use MLLP over TLS, or a client rule."},
    {"coap", "CoAP over TCP and TLS", "5684", TLS, 0, "Gold", "devices (RFC 8323)",
     "Clients use coaps+tcp://."},
};

const struct app *apps_table(size_t *ret_num)
{
    *ret_num = sizeof apps / sizeof *apps;
    return apps;
}

const struct app *apps_find(const char *name)
{
    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++) {
        if (strcasecmp(apps[i].name, name) == 0)
            return &apps[i];
    }
    return NULL;
}
