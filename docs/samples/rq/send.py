from shop import queue, refund, ship

queue.enqueue(ship, "Order:7")
queue.enqueue(refund, "Order:8")
