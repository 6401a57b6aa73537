// Sends the batches that standard input names with KafkaJS. The page's codecs are registered before this runs.
import { readFileSync } from 'node:fs'
import client from 'kafkajs'

const { servers, topic, batches } = JSON.parse(readFileSync(0))
const kafka = new client.Kafka({ clientId: 'player', brokers: [servers] })
const sender = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
await sender.connect()
for (const { codec, messages } of batches) {
  const compression = Object.entries(client.CompressionTypes).find(([name]) => name.toLowerCase() === codec)[1]
  await sender.send({ topic, compression, messages })
}
await sender.disconnect()
