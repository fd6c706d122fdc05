"""Calls a gRPC server knowing nothing but its address: messages and methods come from server
reflection (grpc.reflection.v1alpha), as any tool would see them."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
CALL_SECONDS = 60


def define_messages(package, messages):
    """{name: class} of small messages, each {field: (number, type)}; a type is a FIELD.TYPE_...
    or the name of a message before it; a list around it makes the field repeated."""
    file = descriptor_pb2.FileDescriptorProto(
        name=package + ".by_hand.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated = isinstance(kind, list)
            kind = kind[0] if repeated else kind
            entry = message.field.add(
                name=field, number=number,
                label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                entry.type, entry.type_name = FIELD.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                entry.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(f"{package}.{name}"))
            for name in messages}


REFLECTION = define_messages("grpc.reflection.v1alpha", {
    "ServerReflectionRequest": {"file_containing_symbol": (4, FIELD.TYPE_STRING),
                                "list_services": (7, FIELD.TYPE_STRING)},
    "FileDescriptorResponse": {"file_descriptor_proto": (1, [FIELD.TYPE_BYTES])},
    "ServiceResponse": {"name": (1, FIELD.TYPE_STRING)},
    "ListServiceResponse": {"service": (1, ["ServiceResponse"])},
    "ErrorResponse": {"error_code": (1, FIELD.TYPE_INT32),
                      "error_message": (2, FIELD.TYPE_STRING)},
    "ServerReflectionResponse": {"file_descriptor_response": (4, "FileDescriptorResponse"),
                                 "list_services_response": (6, "ListServiceResponse"),
                                 "error_response": (7, "ErrorResponse")},
})
RPC = define_messages("google.rpc", {
    "Any": {"type_url": (1, FIELD.TYPE_STRING), "value": (2, FIELD.TYPE_BYTES)},
    "Status": {"code": (1, FIELD.TYPE_INT32), "message": (2, FIELD.TYPE_STRING),
               "details": (3, ["Any"])},
    "FieldViolation": {"field": (1, FIELD.TYPE_STRING), "description": (2, FIELD.TYPE_STRING)},
    "BadRequest": {"field_violations": (1, ["FieldViolation"])},
    "ResourceInfo": {"resource_type": (1, FIELD.TYPE_STRING),
                     "resource_name": (2, FIELD.TYPE_STRING)},
})
HEALTH = define_messages("grpc.health.v1", {
    "HealthCheckRequest": {"service": (1, FIELD.TYPE_STRING)},
    "HealthCheckResponse": {"status": (1, FIELD.TYPE_INT32)},
})
SERVING = 1


def error_details(error):
    """{short type name: message} of the google.rpc details of a grpc.RpcError."""
    raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    details = {}
    for detail in RPC["Status"].FromString(raw).details:
        name = detail.type_url.rsplit(".", 1)[-1]
        details[name] = RPC[name].FromString(detail.value)
    return details


class Server:
    """client = Server(address); client.call("attune.v1.JobService/GetJob", name="jobs/x")"""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(
            address, options=[("grpc.max_reconnect_backoff_ms", 500),
                              ("grpc.initial_reconnect_backoff_ms", 100)])
        self.pool = descriptor_pool.DescriptorPool()
        self.factory = message_factory.MessageFactory(self.pool)
        self.files = set()
        self.services = {}

    def close(self):
        self.channel.close()

    def health(self, service=""):
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HEALTH["HealthCheckRequest"].SerializeToString,
            response_deserializer=HEALTH["HealthCheckResponse"].FromString)
        return check(HEALTH["HealthCheckRequest"](service=service), timeout=CALL_SECONDS,
                     wait_for_ready=True).status

    def _reflect(self, **fields):
        ask = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=REFLECTION["ServerReflectionRequest"].SerializeToString,
            response_deserializer=REFLECTION["ServerReflectionResponse"].FromString)
        request = REFLECTION["ServerReflectionRequest"](**fields)
        answer = next(ask(iter([request]), timeout=CALL_SECONDS, wait_for_ready=True))
        if answer.HasField("error_response"):
            raise LookupError(answer.error_response.error_message)
        return answer

    def list_services(self):
        answer = self._reflect(list_services="*")
        return sorted(service.name for service in answer.list_services_response.service)

    def _service(self, name):
        if name not in self.services:
            answer = self._reflect(file_containing_symbol=name).file_descriptor_response
            pending = [descriptor_pb2.FileDescriptorProto.FromString(raw)
                       for raw in answer.file_descriptor_proto]
            while pending:  # a file goes into the pool after those it depends on
                ready = [file for file in pending if self.files.issuperset(file.dependency)]
                if not ready:
                    raise LookupError("reflection left out a dependency of " + pending[0].name)
                for file in ready:
                    if file.name not in self.files:
                        self.pool.Add(file)
                        self.files.add(file.name)
                    pending.remove(file)
            self.services[name] = self.pool.FindServiceByName(name)
        return self.services[name]

    def _prepare(self, method, fields):
        service, name = method.split("/")
        descriptor = self._service(service).methods_by_name[name]
        request = json_format.ParseDict(
            fields, self.factory.GetPrototype(descriptor.input_type)())
        return request, {
            "request_serializer": lambda message: message.SerializeToString(),
            "response_deserializer": self.factory.GetPrototype(descriptor.output_type).FromString}

    def call(self, method, **fields):
        """One unary call; fields as in JSON. The answer as a dict with proto field names."""
        request, codecs = self._prepare(method, fields)
        answer = self.channel.unary_unary("/" + method, **codecs)(
            request, timeout=CALL_SECONDS, wait_for_ready=True)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)

    def stream(self, method, **fields):
        """A server stream: yields dicts."""
        request, codecs = self._prepare(method, fields)
        for answer in self.channel.unary_stream("/" + method, **codecs)(
                request, timeout=10 * CALL_SECONDS, wait_for_ready=True):
            yield json_format.MessageToDict(answer, preserving_proto_field_name=True)
